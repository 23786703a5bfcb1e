"""Tables, figures and page of a comparison: none is written over a file that kc did not make.

``kc.json`` in the folder names them before they are written, so that what a kill leaves is known.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kc.report.page import ASSETS, FILES, page_strangers
from kc.store.files import file_digest
from kc.store.lock import lock
from kc.store.ownership import LEDGER, claim, claimed, is_table, refuse_strangers, unclaimed
from kc.store.register import note_made

TABLE = ("csv", "md", "tex", "json")
FIGURE = ("png", "svg")
LOCK = "kc.lock"
"""Held from the first write to the last."""
FIRST = ("tables/compare.json", "tables/matrix.json")
"""Written by every comparison: they tell a folder of before there was a list."""


def names_of(tables: Iterable[str], figures: Iterable[str]) -> list[str]:
    """Name the files of tables and figures, and the page."""
    found = [f"tables/{name}.{suffix}" for name in tables for suffix in TABLE]
    found += [f"figures/{name}.{suffix}" for name in figures for suffix in FIGURE]
    return [*found, "index.html"]


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold the lock of a comparison's folder, of which nothing stays.

    Raises
    ------
    StoreError
        Another comparison writes there.
    """
    is_new = not folder.exists()
    held = lock(folder / LOCK)
    try:
        yield
    finally:
        # one who opened it meanwhile finds that its file has no name any more, and stops
        (folder / LOCK).unlink(missing_ok=True)
        held.close()
        if is_new:
            with suppress(OSError):  # not empty
                folder.rmdir()


def refuse_outputs(folder: Path, names: Iterable[str]) -> None:
    """Go no further where one of these files, or beside the page, is somebody else's.

    Raises
    ------
    StoreError
        They are named.
    """
    if not _is_older(folder):
        refuse_strangers(folder, unclaimed(folder, names, ("*",)))
    refuse_strangers(folder, page_strangers(folder))


def claim_outputs(folder: Path, names: Iterable[str]) -> None:
    """Refuse as :func:`refuse_outputs` does, then note that these files are kc's."""
    wanted = list(names)
    refuse_outputs(folder, wanted)
    claim(folder, wanted, claimed(folder))
    note_made(folder / LEDGER, {"files": {LEDGER: file_digest(folder / LEDGER)}})


def _is_older(folder: Path) -> bool:
    """Return whether kc wrote to the folder before it kept a list."""
    page = folder / FILES
    is_page = (page / ASSETS[0]).is_file() and not (page / LEDGER).exists()
    is_compared = is_page or any(is_table(folder / name) for name in FIRST)
    return is_compared and not (folder / LEDGER).exists()
