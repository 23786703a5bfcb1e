"""Flush files to the disk while the next ones are made."""

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from kc.files.aside import sync


class Flusher:
    """Flushes files on its own thread."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "flush")
        self._begun: list[Future[None]] = []

    def later(self, path: Path) -> None:
        """Start to flush a file to the disk."""
        self._begun = [each for each in self._begun if not each.done() or each.exception()]
        self._begun.append(self._pool.submit(sync, path))

    def wait(self) -> None:
        """Wait until all files are on the disk.

        Raises
        ------
        StoreError
            The disk refused one.
        """
        begun, self._begun = self._begun, []
        for each in begun:
            each.result()

    def settle(self, files: Iterable[Path], root: Path) -> None:
        """Wait until these files below a folder, and all folders up to it, are on the disk.

        Files that are there already take almost no time.

        Raises
        ------
        StoreError
            The disk refused one.
        """
        self.wait()
        folders = {root.parent, root}
        for file in files:
            sync(file)
            folders |= {root / above for above in file.relative_to(root).parents}
        for folder in sorted(folders):
            sync(folder)

    def close(self) -> None:
        """End the thread after the flushes that were started."""
        self._pool.shutdown()
