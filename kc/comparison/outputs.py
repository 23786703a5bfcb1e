"""Protect files that kc did not make from being overwritten by a comparison's outputs.

``kc.json`` in the folder lists the outputs before they are written, so that the files of an
interrupted run are known as kc's.
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
"""Files of every comparison: they identify folders written before kc kept a list."""


def names_of(tables: Iterable[str], figures: Iterable[str]) -> list[str]:
    """List the files of tables and figures, and the page."""
    found = [f"tables/{name}.{suffix}" for name in tables for suffix in TABLE]
    found += [f"figures/{name}.{suffix}" for name in figures for suffix in FIGURE]
    return [*found, "index.html"]


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold the lock of a comparison's folder; remove the lock file at the end.

    Raises
    ------
    StoreError
        Another comparison is writing there.
    """
    is_new = not folder.exists()
    held = lock(folder / LOCK)
    try:
        yield
    finally:
        # a process that opened it meanwhile finds its file without a name, and stops
        (folder / LOCK).unlink(missing_ok=True)
        held.close()
        if is_new:
            with suppress(OSError):  # not empty
                folder.rmdir()


def refuse_outputs(folder: Path, names: Iterable[str]) -> None:
    """Refuse to continue if one of these files, or a file of the page, is not kc's.

    Raises
    ------
    StoreError
        The error names the files.
    """
    if not _is_older(folder):
        refuse_strangers(folder, unclaimed(folder, names, ("*",)))
    refuse_strangers(folder, page_strangers(folder))


def claim_outputs(folder: Path, names: Iterable[str]) -> None:
    """Refuse files as :func:`refuse_outputs` does, then list these files as kc's."""
    wanted = list(names)
    refuse_outputs(folder, wanted)
    claim(folder, wanted, claimed(folder))
    note_made(folder / LEDGER, {"files": {LEDGER: file_digest(folder / LEDGER)}})


def _is_older(folder: Path) -> bool:
    """Return whether an older kc, which kept no list, wrote to the folder."""
    page = folder / FILES
    is_page = (page / ASSETS[0]).is_file() and not (page / LEDGER).exists()
    is_compared = is_page or any(is_table(folder / name) for name in FIRST)
    return is_compared and not (folder / LEDGER).exists()
