"""Damage a copy of a product at random, and test that ``verify`` and every reader notice."""

import json
import shutil
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from kc.errors import KCError
from kc.store import open_store
from kc.store.verify import damages_under
from tests.faults.children import ask
from tests.faults.readers import Reader, folder_readers, same, shard_file, store_readers

STORES = ("images/birds", "images/objects", "activations", "components", "concepts/maps")
FOLDERS = ("networks", "fits", "concepts/networks")
KINDS = ("flip", "flip", "flip", "truncate", "delete", "swap", "edit")


class Damage(NamedTuple):
    """A type of damage and the files it changed."""

    kind: str
    part: str
    """For a store: shard, coordinate, metadata, manifest, bookkeeping; for a folder: file."""
    files: list[Path]


def is_found(trial: dict[str, Any]) -> bool:
    """Return whether ``verify`` and every reader of a damaged file found the damage."""
    return bool(trial["verified"]) and not trial["unfound"] and not trial["wrong"]


def damage_and_read(world: Path, room: Path, dice: Random, count: int) -> list[dict[str, Any]]:
    """Damage a product ``count`` times and return what ``verify`` and the readers reported."""
    number = dice.randrange(1 << 30)
    found: list[dict[str, Any]] = ask(lambda: _trials(world, room, Random(number), count), room)
    return found


def _trials(world: Path, room: Path, dice: Random, count: int) -> list[dict[str, Any]]:
    truths: dict[tuple[Path, str], Any] = {}
    found = []
    for _ in range(count):
        trial = room / "damaged"
        trial.mkdir()
        found.append(_trial(world, trial, dice, truths))
        shutil.rmtree(trial)
    return found


def _trial(
    world: Path, trial: Path, dice: Random, truths: dict[tuple[Path, str], Any]
) -> dict[str, Any]:
    kind, is_store = dice.choice(KINDS), dice.random() < 0.7
    where = dice.choice(STORES if is_store else FOLDERS)
    path = (_store if is_store else _folder)(world / "results", trial, where, dice)
    array = dice.choice(open_store(path).names) if is_store else ""
    readers = store_readers(path, [array]) if is_store else folder_readers(path)
    for name, reader in readers.items():
        if (path, name) not in truths:
            truths[path, name] = reader.read()
    caused = (
        _damage_store(path, array, kind, dice) if is_store else _damage_folder(path, kind, dice)
    )
    lines = damages_under(path)
    found = {
        "product": str(path.relative_to(trial)),
        "kind": caused.kind,
        "part": caused.part,
        "files": [str(file.relative_to(trial)) for file in caused.files],
        "verified": all(any(_names_fix(line, file) for line in lines) for file in caused.files),
        "unfound": [],
        "wrong": [],
        "lines": lines[:3],
    }
    for name, reader in readers.items():
        fault = _fault(reader, truths[path, name], caused)
        if fault:
            found[fault].append(name)
    return found


def _fault(reader: Reader, truth: Any, caused: Damage) -> str:
    """Return the fault of a reader: none, ``wrong`` data, or a damage ``unfound``."""
    touched = [file for file in caused.files if file in reader.files]
    try:
        found = reader.read()
    except KCError as error:
        clear = any(_names_fix(str(error), file) for file in touched)
        return "" if clear else "unfound"
    if not same(found, truth):
        return "wrong"
    return "unfound" if touched else ""


def _names_fix(line: str, file: Path) -> bool:
    """Return whether a line names a file (and the rows of a shard) and its fix."""
    rows = "c" not in file.parts or "image rows" in line or "coordinate" in line
    folder = str(file.parent) in line and file.name in line
    return folder and rows and "ix: " in line


def _folder(results: Path, trial: Path, where: str, dice: Random) -> Path:
    """Copy a random folder with a card."""
    folder = dice.choice(sorted(p for p in (results / where).iterdir() if p.is_dir()))
    return Path(shutil.copytree(folder, trial / where / folder.name))


def _store(results: Path, trial: Path, where: str, dice: Random) -> Path:
    """Copy a random store."""
    manifests = sorted(results.glob(f"{where}.json")) or sorted((results / where).glob("*.json"))
    manifest = dice.choice(manifests)
    folder = trial / manifest.relative_to(results).parent
    folder.mkdir(parents=True)
    shutil.copy(manifest, folder)
    for suffix in (".zarr", ".state"):
        shutil.copytree(manifest.with_suffix(suffix), folder / f"{manifest.stem}{suffix}")
    return folder / f"{manifest.stem}.zarr"


def _damage_store(path: Path, name: str, kind: str, dice: Random) -> Damage:
    store = open_store(path)
    array = store[name]
    shards = [shard_file(path, array, shard) for shard in range(array.shards)]
    file, manifest = dice.choice(shards), path.with_suffix(".json")
    if kind == "edit":
        _edit(manifest, dice)
        return Damage(kind, "manifest", [manifest])
    if kind == "truncate":
        _truncate(file, dice)
        return Damage(kind, "shard", [file])
    if kind == "swap":
        others = [other for other in shards if other.read_bytes() != file.read_bytes()]
        if others:
            return Damage(kind, "shard", _swapped(file, dice.choice(others)))
    state = path.with_suffix(".state")
    coordinates = list(store.manifest["coordinates"])
    parts = {
        "shard": shards,
        "coordinate": [path / name / "c" / "0" for name in coordinates],
        "metadata": [path / name for name in store.manifest["metadata"]],
        "manifest": [manifest],
        "bookkeeping": [state / "key.json", *sorted(state.glob("receipts/*"))],
    }
    part = dice.choice(["shard", *parts])
    return Damage(*_flip_or_delete(kind, dice.choice(parts[part]), dice, part))


def _damage_folder(path: Path, kind: str, dice: Random) -> Damage:
    files = sorted(file for file in path.iterdir() if file.name != "lock")
    file = dice.choice(files)
    if kind == "edit":
        _edit(path / "card.json", dice)
        return Damage(kind, "file", [path / "card.json"])
    if kind == "truncate":
        _truncate(file, dice)
        return Damage(kind, "file", [file])
    if kind == "swap":
        others = [other for other in files if other.read_bytes() != file.read_bytes()]
        return Damage(kind, "file", _swapped(file, dice.choice(others)))
    return Damage(*_flip_or_delete(kind, file, dice, "file"))


def _flip_or_delete(kind: str, file: Path, dice: Random, part: str) -> tuple[str, str, list[Path]]:
    if kind == "delete":
        file.unlink()
        return kind, part, [file]
    content = bytearray(file.read_bytes())
    content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    file.write_bytes(content)
    return "flip", part, [file]


def _truncate(file: Path, dice: Random) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: dice.randrange(len(content))])


def _swapped(file: Path, other: Path) -> list[Path]:
    content, others = file.read_bytes(), other.read_bytes()
    file.write_bytes(others)
    other.write_bytes(content)
    return [file, other]


def _edit(file: Path, dice: Random) -> None:
    """Change one value of a JSON file, like an editor or a script."""
    content = json.loads(file.read_text())
    at: Any = content
    while True:
        key = dice.choice(list(at) if isinstance(at, dict) else range(len(at)))
        if not isinstance(at[key], (dict, list)) or not at[key]:
            break
        at = at[key]
    value = at[key]
    at[key] = value + 1 if isinstance(value, (int, float)) else f"{value}x"
    file.write_text(json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
