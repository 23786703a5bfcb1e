"""Generated data sets, each written as a folder in the layout of a real one.

So one reader reads both: drawn birds as CUB-200-2011, drawn dogs as Stanford Dogs, drawn scenes
as Pascal VOC or ILSVRC DET. Every picture has its own seed, derived from the settings' seed, its
class and its number.
"""

import shutil
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import xxhash

from kc.errors import SettingsError, StoreError
from kc.plans.layouts import GENERATED, LAYOUTS
from kc.provenance import product_key
from kc.settings.dataset import Generated
from kc.store.files import (
    CHECKSUM,
    file_digest,
    read_json,
    read_signed,
    write_json_atomic,
    write_signed,
)
from kc.store.ownership import LITTER, finished, refuse_strangers
from kc.store.place import Folder
from kc.store.register import note_made, noted_files

CARD = "card.json"
"""File with the folder's key, digest and file names; without a digest it is not complete."""
DRAWN = frozenset({"", ".jpg", ".png", ".txt", ".xml", ".mat"})
"""Suffixes of drawn files, for cards without a list of files (old, damaged, interrupted)."""


def write_generated(layout: str, settings: Generated, folder: Path) -> None:
    """Draw a data set into ``folder``, unless it is there already, complete, with these settings.

    It is drawn aside and renamed, so that an interruption leaves no folder that looks complete. A
    folder with files that kc did not draw is refused and not changed.

    Raises
    ------
    SettingsError
        Pictures of this layout cannot be drawn.
    StoreError
        The folder, or the one aside, has a file that kc did not draw.
    """
    drawn = {name: about.writer for name, about in LAYOUTS.items() if about.writer}
    if layout not in drawn:
        raise SettingsError(
            f"datasets: layout '{layout}' cannot be drawn, only {', '.join(drawn)} can. "
            "Fix: name the data set's 'archive', or use one of these layouts."
        )
    key = product_key({"layout": layout, "settings": settings}, {}, GENERATED, drawn[layout])
    if whole := _whole(folder, key):
        _note(folder, whole)
        return
    aside = folder.with_name(f"{folder.name}.part")
    for old in (folder, aside):
        refuse_strangers(old, _strangers(old))
    _remove(aside)
    # first, so that an interrupted folder is recognised as ours
    write_json_atomic(aside / CARD, {"key": key})
    getattr(import_module(drawn[layout]), f"write_{layout}")(settings, aside)
    digests = _digests(aside)
    card = {"key": key, "digest": _joined(digests), "files": list(digests)}
    write_signed(aside / CARD, card)
    _remove(folder)
    aside.rename(folder)
    _note(folder, digests)


def _strangers(folder: Path) -> list[str]:
    """List the files in a folder of drawn pictures that kc did not draw."""
    there = {name or folder.name for name in Folder(folder.parent).files(folder.name)}
    there = {name for name in there if Path(name).name not in LITTER and finished(name) != CARD}
    known = {name.removeprefix(f"{folder.name}/") for name in noted_files(folder)}
    if folder.is_symlink() or not there or not (known or (folder / CARD).is_file()):
        return sorted(there)
    try:
        card: Any = read_json(folder / CARD)
        # a damaged name in the list would make a drawn picture look foreign
        if isinstance(card, dict) and CHECKSUM in card:
            card = read_signed(folder / CARD)
    except StoreError:
        card = {"key": "damaged"}
    if not isinstance(card, dict) or "key" not in card:
        return sorted(there)
    known |= set(card.get("files", ()))
    drawn = known or {name for name in there if Path(name).suffix in DRAWN and name[-1] != "/"}
    return sorted(there - drawn)


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def _whole(folder: Path, key: str) -> dict[str, str]:
    """Return the digests of the files if they were drawn under this key; else nothing."""
    try:
        card = read_signed(folder / CARD)
    except StoreError:
        return {}
    digests = _digests(folder)
    made = {name: value for name, value in card.items() if name != CHECKSUM}
    is_whole = made == {"key": key, "digest": _joined(digests), "files": list(digests)}
    return digests if is_whole else {}


def _note(folder: Path, digests: Mapping[str, str]) -> None:
    """Record each file, so that a missing or changed one is found."""
    noted = {**digests, CARD: file_digest(folder / CARD)}
    note_made(folder, {"files": {f"{folder.name}/{name}": noted[name] for name in noted}})


def _digests(folder: Path) -> dict[str, str]:
    """Return the digest of each file except the card."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != CARD)
    return {path.relative_to(folder).as_posix(): file_digest(path) for path in paths}


def _joined(digests: Mapping[str, str]) -> str:
    """Return one digest of names and contents."""
    total = xxhash.xxh3_128()
    for name, digest in digests.items():
        total.update(f"{name} {digest}\n".encode())
    return str(total.hexdigest())
