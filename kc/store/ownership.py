"""What lies in a place that kc did not make: it is refused, never removed or written over.

A store is kc's by its key, receipts or owners in ``NAME.state``, or by its manifest; a folder of
products by its key or card (:mod:`kc.store.product`); other files by a list, ``kc.json``, that
names them before they are written. One that is damaged still counts.
"""

import json
import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from kc.errors import StoreError
from kc.files.aside import target_of
from kc.store.files import read_json, read_signed, write_signed
from kc.store.lock import is_lock
from kc.store.place import Place, read_json_at, read_signed_at

LEDGER = "kc.json"
"""Names the files of a folder that kc writes."""
LITTER = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
"""What file managers leave in any folder they show."""
SHOWN = 3
"""Files named in a message."""
_ARRAYS = re.compile(r"(?:[^/]+/)*?(?:zarr\.json|c(?:/\d+)+)")
_STATE = re.compile(r"key\.json|door|receipts/\d+\.json|owners/\d+-\d+")
_MANIFEST = ("checksum", "coordinates", "metadata", "shard_rows")
_SIGNED = ("checksum", "key")
_SPELLED = '{\n  "'
"""How JSON of kc's begins."""


def refuse_strangers(where: str | Path, strangers: Sequence[str]) -> None:
    """Go no further where anything of somebody else's lies.

    Raises
    ------
    StoreError
        Names the first few.
    """
    if not strangers:
        return
    more = f" and {len(strangers) - SHOWN} more" if len(strangers) > SHOWN else ""
    raise StoreError(
        f"{where}: kc did not make {', '.join(strangers[:SHOWN])}{more}, and writes here; expected "
        "nothing, or what kc made. It was left as it is. Fix: move it away, or write elsewhere "
        "(another --out or results folder)."
    )


def store_strangers(place: Place, name: str) -> list[str]:
    """List what lies where the store ``NAME`` is to be, and is no part of a store of kc's."""
    arrays = _seen(place, f"{name}.zarr")
    if _has_state(place, name) or _holds(_text(place, f"{name}.json"), _MANIFEST):
        known = array_names(place, name)
        arrays = [file for file in arrays if not _is_of_arrays(finished(file), known)]
    found = [f"{name}.zarr/{file}" for file in arrays]
    for file in _seen(place, f"{name}.state"):
        is_other = file == "door" and not is_lock(_text(place, f"{name}.state/door"))
        if is_other or not _STATE.fullmatch(finished(file)):
            found.append(f"{name}.state/{file}")
    return [file.rstrip("/") for file in found] + manifest_strangers(place, name)


def manifest_strangers(place: Place, name: str) -> list[str]:
    """Name the file that lies where a store's manifest is to be, if it is none."""
    file = f"{name}.json"
    if not place.has(file) or looks_signed(text := _text(place, file), _MANIFEST):
        return []
    # beside a key of kc's, what is no JSON any more was the manifest
    return [file] if _is_json(text) or not _has_state(place, name) else []


def refuse_owned(place: Place, name: str, key: str, owner: str, beside: Place) -> None:
    """Go no further where the store was made for another results folder, which shares the place.

    One of before owners were written down is told by its key alone: a finished one under another
    key may be anybody's, unless the manifest ``beside`` is of it.

    Raises
    ------
    StoreError
        Both owners are named.
    """
    about, where = _key_of(place, name), f"{place.where(name)}.zarr"
    other = about.get("owner")
    if other is None and owner and about.get("key") != key and place.has(f"{name}.json"):
        other = owner if f'"{where}"' in _text(beside, f"{name}.json") else "another results folder"
    if other not in (None, owner):
        raise StoreError(
            f"{where}: a store of {other}; this is {owner or 'one without storage.root'}, which "
            "neither goes on with it nor removes it. Fix: another storage.root, or another --out."
        )


def _has_state(place: Place, name: str) -> bool:
    state = place.names(f"{name}.state")
    if "key.json" in state and looks_signed(_text(place, f"{name}.state/key.json")):
        return True
    return bool({"receipts", "owners"} & set(state))


def finished(name: str) -> str:
    """Return the name of the file that a writer who was killed left this one aside for."""
    folder, slash, last = name.rpartition("/")
    if last.endswith(".partial"):  # zarr's own
        last = last.partition(".")[0]
    last = target_of(last)
    return f"{folder}{slash}{last}"


def unclaimed(folder: Path, names: Iterable[str], older: Sequence[str] = ()) -> list[str]:
    """List the files among ``names`` that are there and that the folder's list does not name.

    ``older``: patterns of what counts as kc's where the list is damaged.
    """
    known = claimed(folder, older)
    there = (name for name in names if (folder / name).exists())
    return [name for name in there if not any(fnmatchcase(finished(name), k) for k in known)]


def claimed(folder: Path, older: Sequence[str] = ()) -> list[str]:
    """Return the names, or patterns, that a folder's list holds; none: there is no list.

    Raises
    ------
    StoreError
        The file is somebody else's.
    """
    file = folder / LEDGER
    if not file.is_file():
        return []
    try:
        return [str(name) for name in read_signed(file)["names"]]
    except (StoreError, KeyError):
        text = file.read_text(encoding="utf-8", errors="replace")
        if not looks_signed(text, ("checksum", "names")):
            refuse_strangers(folder, [LEDGER])
        return list(older)


def claim(folder: Path, names: Iterable[str], keep: Iterable[str] = ()) -> None:
    """Note, before they are written, which files of a folder are kc's."""
    write_signed(folder / LEDGER, {"names": sorted({*names, *keep})})


def is_table(path: Path) -> bool:
    """Return whether it is the ``.json`` of a table of kc's."""
    try:
        about: Any = read_json(path)
    except (StoreError, OSError):
        return False
    return isinstance(about, dict) and {"code", "files", "versions"} <= set(about)


def _seen(place: Place, folder: str) -> list[str]:
    return [file for file in place.files(folder) if file.rpartition("/")[2] not in LITTER]


def _is_of_arrays(file: str, known: set[str] | None) -> bool:
    top, inner, _ = file.partition("/")
    return bool(_ARRAYS.fullmatch(file)) and (not inner or known is None or top in known)


def _key_of(place: Place, name: str) -> dict[str, Any]:
    """Read a store's key; empty where there is none, or a damaged one."""
    file = f"{name}.state/key.json"
    try:
        return emptied(read_json_at(place, file)) or read_signed_at(place, file)
    except (StoreError, OSError):
        return {}


def emptied(about: Any) -> dict[str, Any]:
    """Return what a key says that is not signed: kc was about to empty the place; else nothing."""
    return about if isinstance(about, dict) and about.get("key") == "" else {}


def array_names(place: Place, name: str) -> set[str] | None:
    """Return the folders of a store's arrays and coordinates; None where that is not known."""
    about = _key_of(place, name)
    held = about.get("holds")
    if held is None and about.get("key") != "":
        try:
            manifest = read_signed_at(place, f"{name}.json")
            held = [*manifest["arrays"], *manifest["coordinates"]]
        except (StoreError, KeyError, OSError):
            return None
    return None if held is None else {str(each).partition("/")[0] for each in held}


def looks_signed(text: str, words: Sequence[str] = _SIGNED) -> bool:
    """Return whether a text is signed JSON of kc's, by its fields, or by its beginning if cut."""
    begins = text.startswith(_SPELLED) or _SPELLED.startswith(text)
    return _holds(text, words) or (begins and not _is_json(text))


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _holds(text: str, words: Sequence[str]) -> bool:
    """Look for all words but one, which may be the one that is damaged."""
    return sum(f'"{word}"' in text for word in words) >= len(words) - 1


def _text(place: Place, file: str) -> str:
    """Read a file; one that cannot be read is not kc's."""
    try:
        return place.read(file).decode("utf-8", errors="replace")
    except OSError:
        return "{}"
