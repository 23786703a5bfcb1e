"""Download the archives that the settings name."""

from collections.abc import Iterable
from pathlib import Path

from kc.errors import DownloadError
from kc.plans.optional import import_optional


def download(files: Iterable[tuple[str, str, str | None]]) -> None:
    """Download each incomplete file: address, path, and checksum if known.

    Raises
    ------
    DownloadError
        A file cannot be downloaded, or is not the expected one; or requests is not installed.
    """
    import_optional("requests", "the download", DownloadError)
    from kc.datasets.download import Wanted, fetch_all

    fetch_all([Wanted(url, Path(path), known) for url, path, known in files])
