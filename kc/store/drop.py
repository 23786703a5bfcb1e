"""Drop a store when the last job that reads it is done; what is left says so."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kc.errors import StoreError
from kc.store.files import read_signed, write_signed
from kc.store.manifest import dropped_path, read_manifest
from kc.store.network import followed
from kc.store.place import locate


def drop_store(path: Path, readers: Sequence[str]) -> None:
    """Remove a store and its manifest, and leave a note of who read it last.

    Without the manifest the workflow makes the store again when a job needs it once more, and
    only then. The note comes first: a kill on the way leaves a store that is dropped the next time.

    Raises
    ------
    StoreError
        It is neither there nor dropped.
    """
    beside, name = locate(path)
    note = path.parent / dropped_path(name)
    try:
        manifest = read_manifest(beside, name)
    except StoreError:
        if not note.is_file():
            raise
        manifest = read_signed(note)
    about: dict[str, Any] = {"readers": list(readers), "digest": manifest["digest"]}
    location = manifest.get("location", "")
    write_signed(note, about | {"location": location})
    place, name = locate(followed(location, str(path))) if location else (beside, name)
    for part in (f"{name}.zarr", f"{name}.state"):
        place.delete(part)
    place.delete(f"{name}.json")
    path.with_suffix(".json").unlink(missing_ok=True)
