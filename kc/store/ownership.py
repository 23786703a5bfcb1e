"""Find files that kc did not make: kc refuses to write there, and never removes or replaces them.

kc recognises its stores by the key, receipts or owners in ``NAME.state``, or by the manifest; a
folder of products by its key, card or note (:mod:`kc.store.product`); other files by a list,
``kc.json``, that names them before they are written. Damaged ones count too.
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
"""List of the files of a folder that kc writes."""
LITTER = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
"""Files that file managers leave in any folder they show."""
SHOWN = 3
"""Number of files named in a message."""
_ARRAYS = re.compile(r"(?:[^/]+/)*?(?:zarr\.json|c(?:/\d+)+)")
_STATE = re.compile(r"key\.json|door|receipts/\d+\.json|owners/\d+-\d+")
_MANIFEST = ("checksum", "coordinates", "metadata", "shard_rows")
_SIGNED = ("checksum", "key")
_SPELLED = '{\n  "'
"""Beginning of all JSON that kc writes."""


def refuse_strangers(where: str | Path, strangers: Sequence[str]) -> None:
    """Raise an error if there are files that kc did not make.

    Raises
    ------
    StoreError
        There are; the first few are named.
    """
    if not strangers:
        return
    more = f" and {len(strangers) - SHOWN} more" if len(strangers) > SHOWN else ""
    raise StoreError(
        f"{where}: kc did not make {', '.join(strangers[:SHOWN])}{more}, and writes here; expected "
        "nothing, or files of kc. Nothing was changed. Fix: move it away, or write elsewhere "
        "(another --out or results folder)."
    )


def store_strangers(place: Place, name: str, own: Iterable[str] = ()) -> list[str]:
    """List the files in the place of the store ``NAME`` that are no part of a store of kc.

    ``own``: folders of arrays that are kc's even if the store's key does not name them.
    """
    arrays = _seen(place, f"{name}.zarr")
    if _has_state(place, name) or _holds(_text(place, f"{name}.json"), _MANIFEST):
        known = array_names(place, name)
        known = None if known is None else {*known, *own}
        arrays = [file for file in arrays if not _is_of_arrays(finished(file), known)]
    found = [f"{name}.zarr/{file}" for file in arrays]
    for file in _seen(place, f"{name}.state"):
        is_other = file == "door" and not is_lock(_text(place, f"{name}.state/door"))
        if is_other or not _STATE.fullmatch(finished(file)):
            found.append(f"{name}.state/{file}")
    return [file.rstrip("/") for file in found] + manifest_strangers(place, name)


def manifest_strangers(place: Place, name: str) -> list[str]:
    """Name the file in the place of a store's manifest, if it is no manifest."""
    file = f"{name}.json"
    if not place.has(file) or looks_signed(text := _text(place, file), _MANIFEST):
        return []
    # next to a key of kc, a file that is not JSON is a damaged manifest
    return [file] if _is_json(text) or not _has_state(place, name) else []


def refuse_owned(place: Place, name: str, key: str, owner: str, beside: Place) -> None:
    """Refuse a store that was made for another results folder, which shares the place.

    Older stores name no owner and are compared by their key alone: a finished one under another
    key may belong to anybody, unless the manifest ``beside`` refers to it.

    Raises
    ------
    StoreError
        It was; both owners are named.
    """
    about, where = _key_of(place, name), f"{place.where(name)}.zarr"
    other = about.get("owner")
    if other is None and owner and about.get("key") != key and place.has(f"{name}.json"):
        other = owner if f'"{where}"' in _text(beside, f"{name}.json") else "another results folder"
    if other not in (None, owner):
        raise StoreError(
            f"{where}: a store of {other}; this is {owner or 'one without storage.root'}, which "
            "neither continues nor removes it. Fix: another storage.root, or another --out."
        )


def _has_state(place: Place, name: str) -> bool:
    state = place.names(f"{name}.state")
    if "key.json" in state and looks_signed(_text(place, f"{name}.state/key.json")):
        return True
    return bool({"receipts", "owners"} & set(state))


def finished(name: str) -> str:
    """Return the final name of a temporary file that a killed writer left."""
    folder, slash, last = name.rpartition("/")
    if last.endswith(".partial"):  # zarr's own
        last = last.partition(".")[0]
    last = target_of(last)
    return f"{folder}{slash}{last}"


def unclaimed(folder: Path, names: Iterable[str], older: Sequence[str] = ()) -> list[str]:
    """List the files among ``names`` that exist and that the folder's list does not name.

    ``older``: patterns of the files that count as kc's if the list is damaged.
    """
    known = claimed(folder, older)
    there = (name for name in names if (folder / name).exists())
    return [name for name in there if not any(fnmatchcase(finished(name), k) for k in known)]


def claimed(folder: Path, older: Sequence[str] = ()) -> list[str]:
    """Return the names or patterns in a folder's list; empty if there is no list.

    Raises
    ------
    StoreError
        kc did not write the file.
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
    """Write the list of the files of a folder that kc is about to write."""
    write_signed(folder / LEDGER, {"names": sorted({*names, *keep})})


def is_table(path: Path) -> bool:
    """Return whether a file is the ``.json`` of a table of kc."""
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
    """Read a store's key; empty if it is missing or damaged."""
    file = f"{name}.state/key.json"
    try:
        return emptied(read_json_at(place, file)) or read_signed_at(place, file)
    except (StoreError, OSError):
        return {}


def emptied(about: Any) -> dict[str, Any]:
    """Return an unsigned key, written before kc empties the place; empty if it is another."""
    return about if isinstance(about, dict) and about.get("key") == "" else {}


def array_names(place: Place, name: str) -> set[str] | None:
    """Return the folders of a store's arrays and coordinates; None if unknown."""
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
    """Return whether a text is signed JSON of kc, by its fields, or by its beginning if cut."""
    begins = text.startswith(_SPELLED) or _SPELLED.startswith(text)
    return _holds(text, words) or (begins and not _is_json(text))


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _holds(text: str, words: Sequence[str]) -> bool:
    """Return whether a text has all words but one, which may be damaged."""
    return sum(f'"{word}"' in text for word in words) >= len(words) - 1


def _text(place: Place, file: str) -> str:
    """Read a file; one that cannot be read counts as not kc's."""
    try:
        return place.read(file).decode("utf-8", errors="replace")
    except OSError:
        return "{}"
