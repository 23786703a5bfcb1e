"""Files brought to the disk while the next are made."""

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from kc.files.aside import sync


class Flusher:
    """Waits for the disk on a thread of its own."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "flush")
        self._begun: list[Future[None]] = []

    def later(self, path: Path) -> None:
        """Begin to bring a file to the disk."""
        self._begun = [each for each in self._begun if not each.done() or each.exception()]
        self._begun.append(self._pool.submit(sync, path))

    def wait(self) -> None:
        """Return when all files are on the disk.

        Raises
        ------
        StoreError
            The disk did not take one.
        """
        begun, self._begun = self._begun, []
        for each in begun:
            each.result()

    def settle(self, files: Iterable[Path], root: Path) -> None:
        """Return when these files below a folder are on the disk, and all names up to it.

        What is there already costs next to nothing.

        Raises
        ------
        StoreError
            The disk did not take one.
        """
        self.wait()
        folders = {root.parent, root}
        for file in files:
            sync(file)
            folders |= {root / above for above in file.relative_to(root).parents}
        for folder in sorted(folders):
            sync(folder)

    def close(self) -> None:
        """End the thread, once what was begun is done."""
        self._pool.shutdown()
