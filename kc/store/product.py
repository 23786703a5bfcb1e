"""A folder of small files made together (weights, history, card), complete under its key.

The workflow asks for ``card.json``; Snakemake removes it before a job runs again. So
``result.json``, which the workflow does not know, has the same content, and a product that was
finished before a kill is not made twice.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from kc.errors import StoreError
from kc.plans.commands import AGAIN, fix_at
from kc.store.files import file_digest, read_json, read_signed, write_json_atomic, write_signed
from kc.store.lock import is_lock, lock
from kc.store.ownership import LITTER, emptied, finished, looks_signed, refuse_strangers
from kc.store.register import is_noted, note_made

CARD = "card.json"
RESULT = "result.json"
KEY = "key.json"
LOCK = "lock"
SEALS = "seals.json"
"""Digests of files that are final before the others; removed with the last one."""

LOG = logging.getLogger(__name__)


class Product:
    """One folder under one key; a context manager that holds the folder's lock.

    Parameters
    ----------
    folder
        Folder of the product alone. Files that kc did not make are never changed, and the
        folder is then not made again.
    key
        Hash of inputs, settings and code (:func:`kc.provenance.product_key`).
    files
        Names of all files that may be written before the card names them, states to continue
        from too: kc recognises by them what a kill leaves.
    """

    def __init__(self, folder: Path, key: str, files: Iterable[str] = ()) -> None:
        self.folder, self.key, self.files = folder, key, frozenset(files)
        self._seals: dict[str, str] = {}

    def __enter__(self) -> "Product":
        if not self._is_kcs():  # before the lock, which is a file already
            self.refuse_strangers()
        self._lock = lock(self.folder / LOCK)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.close()

    def is_done(self) -> bool:
        """Return whether it is complete under this key; if so, repair its card and key."""
        try:
            card = read_signed(self.folder / RESULT)
            whole = card["key"] == self.key and not damaged_files(self.folder, card)
        except (StoreError, KeyError):
            return False
        if whole:
            note_made(self.folder, {"key": self.key, "digest": card["digest"]})
            write_json_atomic(self.folder / CARD, card)
            write_signed(self.folder / KEY, {"key": self.key})
            self._sweep(card["files"])
        return whole

    def start(self) -> None:
        """Prepare the folder: remove what another key left, keep what this one left.

        If a sealed file changed, nothing is kept.

        Raises
        ------
        StoreError
            The folder holds files that kc did not make.
        """
        self.refuse_strangers()
        goes_on, known = self._goes_on(), self._known()
        if not goes_on:
            # first, so that kc recognises what a kill leaves; unsigned, so that it matches no key
            write_json_atomic(self.folder / KEY, {"key": "", "files": sorted(known)})
        for path in self.folder.iterdir():
            old = path.name in (CARD, RESULT) or (not goes_on and path.name not in (LOCK, KEY))
            if old and finished(path.name) in known:
                path.unlink()
        write_signed(self.folder / KEY, {"key": self.key})

    def refuse_strangers(self) -> None:
        """Check that kc made all that is in the folder.

        Raises
        ------
        StoreError
            It did not; the files are named.
        """
        begun = self._is_kcs()
        known = self._known() if begun else {LOCK}
        names = sorted(self._names() - LITTER)
        strangers = [
            name
            for name in names
            if not ({name, finished(name)} & known or (not begun and name != finished(name) == KEY))
            or (self.folder / name).is_dir()
            or (name == LOCK and not is_lock((self.folder / name).read_text(errors="replace")))
        ]
        refuse_strangers(self.folder, strangers)

    def seal(self, name: str) -> None:
        """Keep the digest of a final file, long before the card is written.

        A change of the file in between is then detected instead of signed.
        """
        self._seals[name] = file_digest(self.folder / name)
        write_signed(self.folder / SEALS, {"files": self._seals})

    def finish(self, card: Mapping[str, Any], files: Sequence[str]) -> None:
        """Write the card with the digest of each file, then remove all other files of kc.

        Its ``digest`` is that of the first file.

        Raises
        ------
        StoreError
            A sealed file changed.
        """
        changed = damaged_files(self.folder, {"files": self._seals})
        if changed:
            raise StoreError(
                f"{self.folder}: {', '.join(changed)} missing or changed since written. "
                f"Fix: {AGAIN}"
            )
        digests = {name: file_digest(self.folder / name) for name in files}
        whole = dict(card) | {"key": self.key, "digest": digests[files[0]], "files": digests}
        note_made(self.folder, {"key": self.key, "digest": whole["digest"]})
        write_json_atomic(self.folder / CARD, write_signed(self.folder / RESULT, whole))
        self._sweep(digests)

    def _goes_on(self) -> bool:
        """Return whether the folder is of this key and undamaged; read its seals."""
        self._seals = {}
        try:
            if read_signed(self.folder / KEY).get("key") != self.key:
                return False
        except StoreError:
            return False
        if not (self.folder / SEALS).exists():
            return True
        try:
            about = read_signed(self.folder / SEALS)
            changed = damaged_files(self.folder, about)
        except (StoreError, KeyError):
            changed = [SEALS]
        if changed:
            LOG.warning(
                "%s: %s missing or changed since written; it is made again",
                self.folder,
                ", ".join(changed),
            )
            return False
        self._seals = about["files"]
        return True

    def _sweep(self, files: Mapping[str, str]) -> None:
        """Remove the files that only the making needed, such as states to continue from."""
        known = self._known()
        for name in self._names() - {*files, CARD, RESULT, KEY, LOCK}:
            if finished(name) in known:
                (self.folder / name).unlink()

    def _names(self) -> set[str]:
        if not self.folder.is_dir():
            return {self.folder.name} if self.folder.exists() else set()
        return {path.name for path in self.folder.iterdir()}

    def _is_kcs(self) -> bool:
        """Return whether kc made the folder, by its key, card or note."""
        return is_noted(self.folder) or any(
            (self.folder / name).is_file()
            and looks_signed((self.folder / name).read_text(encoding="utf-8", errors="replace"))
            for name in (KEY, RESULT, CARD)
        )

    def _known(self) -> set[str]:
        """Return the names of all files of kc: those in ``files``, card, copy, key and seals."""
        known = {CARD, RESULT, KEY, LOCK, SEALS, *self.files, *self._seals}
        for name in (CARD, RESULT, SEALS):
            with suppress(StoreError, KeyError):
                known |= {str(file) for file in read_signed(self.folder / name)["files"]}
        with suppress(StoreError):
            known |= set(emptied(read_json(self.folder / KEY)).get("files", ()))
        return known


def read_card(folder: Path, fix: str = "", files: Sequence[str] | None = None) -> dict[str, Any]:
    """Read a finished product's card, and check ``files`` (None: all) against it.

    Raises
    ------
    StoreError
        The product is not finished, or a file is missing or damaged; ends with ``fix``.
    """
    card = read_signed(folder / CARD, fix)
    if "files" not in card:
        raise StoreError(
            f"{folder / CARD}: undamaged, but not a card. Fix: {fix or fix_at(folder)}"
        )
    damaged = damaged_files(folder, card, files)
    if damaged:
        raise StoreError(
            f"{folder}: {', '.join(damaged)} missing or not those of {CARD}. "
            f"Fix: {fix or fix_at(folder)}"
        )
    return card


def damaged_files(
    folder: Path, card: Mapping[str, Any], files: Sequence[str] | None = None
) -> list[str]:
    """Return the files of a product that are missing or do not match its card."""
    return [
        name
        for name in (card["files"] if files is None else files)
        if not (folder / name).is_file() or file_digest(folder / name) != card["files"].get(name)
    ]
