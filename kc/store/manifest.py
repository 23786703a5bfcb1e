"""The manifest of a store: written last, it describes the store and every shard."""

from typing import Any

from kc.errors import StoreError
from kc.plans.commands import fix_at, remake
from kc.store.place import Place, read_json_at, read_signed_at

FORMAT = 3
"""Version of the manifest; readers refuse any other."""

DROPPED = "dropped"
"""Folder of the notes on dropped stores, next to the stores of one kind."""


def read_manifest(place: Place, name: str) -> dict[str, Any]:
    """Read the manifest of the store ``name``.

    Raises
    ------
    StoreError
        It is missing (the store is unfinished), was edited or damaged, or is of another format.
    """
    file = place.where(f"{name}.json")
    if not place.has(f"{name}.json"):
        _refuse_dropped(place, name)
        what = "unfinished: it has no manifest" if place.has(f"{name}.zarr") else "not there"
        raise StoreError(
            f"{place.where(name)}.zarr: the store is {what} ({file}). Fix: {fix_at(file)}"
        )
    # the fix that a damaged file names cannot be trusted
    fix = fix_at(file)
    found = read_json_at(place, f"{name}.json")
    if isinstance(found, dict) and found.get("format") != FORMAT:
        raise StoreError(
            f"{file}: written in format {found.get('format')}, this kc reads {FORMAT}. Fix: {fix}"
        )
    return read_signed_at(place, f"{name}.json", fix)


def _refuse_dropped(place: Place, name: str) -> None:
    note = f"{DROPPED}/{name}.json"
    if place.has(note):
        readers = ", ".join(read_signed_at(place, note)["readers"])
        file = place.where(f"{name}.json")
        remade = fix_at(file, remake(file))
        raise StoreError(
            f"{place.where(name)}.zarr: the store was dropped after its last use by {readers} "
            f"(storage.drop). Fix: {remade}"
        )
