"""Download the archives that the settings name."""

from collections.abc import Iterable
from pathlib import Path

from kc.datasets.download import Wanted, fetch_all


def download(files: Iterable[tuple[str, str, str | None]]) -> None:
    """Download each incomplete file: address, path, and checksum if known.

    Raises
    ------
    DownloadError
        A file cannot be downloaded, or is not the expected one.
    """
    fetch_all([Wanted(url, Path(path), known) for url, path, known in files])
