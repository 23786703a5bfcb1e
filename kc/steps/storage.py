"""Drop a store when the last job that reads it is done, and leave a note."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kc.errors import StoreError
from kc.names import folder_id
from kc.store.files import read_signed, write_signed
from kc.store.manifest import DROPPED, read_manifest
from kc.store.network import followed
from kc.store.ownership import manifest_strangers, refuse_owned, refuse_strangers, store_strangers
from kc.store.place import locate
from kc.store.register import forget


def drop_store(path: Path, readers: Sequence[str]) -> None:
    """Remove a store and its manifest, and leave a note of its last readers.

    Without the manifest the workflow makes the store again if a job needs it later. The note is
    written first: after an interruption the store is dropped the next time.

    Raises
    ------
    StoreError
        It neither exists nor was dropped, or kc did not make it, or made it for another results
        folder.
    """
    beside, name = locate(path)
    note = path.parent / DROPPED / f"{name}.json"
    try:
        manifest = read_manifest(beside, name)
    except StoreError:
        if not note.is_file():
            raise
        manifest = read_signed(note)
    location, key = manifest.get("location", ""), manifest.get("key", "")
    place, name = locate(followed(location, str(path))) if location else (beside, name)
    owner = folder_id(path.parent) if location else ""
    refuse_strangers(path, manifest_strangers(beside, path.stem))
    refuse_strangers(place.where(f"{name}.zarr"), store_strangers(place, name))
    refuse_owned(place, name, key, owner, beside)
    about: dict[str, Any] = {"readers": list(readers), "digest": manifest["digest"], "key": key}
    write_signed(note, about | {"location": location})
    forget(path)
    for part in (f"{name}.zarr", f"{name}.state"):
        place.delete(part)
    place.delete(f"{name}.json")
    path.with_suffix(".json").unlink(missing_ok=True)
