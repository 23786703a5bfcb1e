"""Download the archives that the settings name."""

from collections.abc import Iterable
from pathlib import Path

from kc.datasets.download import Wanted, fetch_all


def download(files: Iterable[tuple[str, str, str | None]]) -> None:
    """Download each file that is not there whole: address, path, and checksum where known.

    Raises
    ------
    DownloadError
        A file that cannot be had, or is not the one expected.
    """
    fetch_all([Wanted(url, Path(path), known) for url, path, known in files])
