"""Damage every type of file in a finished folder; test that it is named and the fix works."""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from kc.files.made import MADE
from kc.files.sources import FOLDER as SOURCES
from kc.plans.commands import NOTE
from kc.store.verify import damages_under
from tests.faults.children import ask
from tests.faults.compare import differences

LOCKS = ("lock", "door", "owners")
"""Locks and owners have no content to protect: a run writes them again."""
COORDINATES = ("image_id", "label", "class_name", "subset", "superclass", "has_foreground")
Change = Callable[[bytearray, Random], bytes]


class Damage(NamedTuple):
    """One or two files with their damaged content; None: the file is deleted."""

    kind: str
    how: str
    files: Mapping[Path, bytes | None]

    @property
    def about(self) -> dict[str, Any]:
        return {"kind": self.kind, "how": self.how, "files": [str(file) for file in self.files]}


def _flip(content: bytearray, dice: Random) -> bytes:
    content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    return bytes(content)


def _cut(content: bytearray, dice: Random) -> bytes:
    return bytes(content[: dice.randrange(len(content))])


def _append(content: bytearray, dice: Random) -> bytes:
    return bytes(content) + bytes([dice.randrange(256)])


def _zero(content: bytearray, dice: Random) -> bytes:
    at = dice.randrange(len(content))
    piece = content[at : at + 64]
    content[at : at + 64] = bytes(len(piece)) if any(piece) else b"\1" * len(piece)
    return bytes(content)


def _digit(content: bytearray, dice: Random) -> bytes:
    """Change a digit, like an editor."""
    places = [found.start() for found in re.finditer(rb"[0-9]", content)]
    if not places:
        return _flip(content, dice)
    at = dice.choice(places)
    content[at] = 48 + (content[at] - 48 + dice.randrange(1, 10)) % 10
    return bytes(content)


CHANGES: dict[str, Change] = {
    "flip": _flip, "cut": _cut, "append": _append, "zero": _zero, "number": _digit,
}  # fmt: skip
HOW = (*CHANGES, "delete", "exchange")


def kinds_under(folder: Path, dice: Random, most: int = 3) -> dict[str, list[Path]]:
    """List the files of a folder by type, without logs and locks.

    Take at most ``most`` products of one sort, since each has its own fix to run.
    """
    by_sort = defaultdict(set)
    files = [each.relative_to(folder) for each in sorted(folder.rglob("*")) if each.is_file()]
    for file in files:
        sort, name = _product(file)
        by_sort[sort].add(name)
    taken = {sort: set(dice.sample(sorted(n), min(most, len(n)))) for sort, n in by_sort.items()}
    found = defaultdict(list)
    for file in files:
        kind, (sort, name) = _kind(file), _product(file)
        if kind and name in taken[sort] and (folder / file).stat().st_size:
            found[kind].append(folder / file)
    return dict(sorted(found.items()))


def _product(file: Path) -> tuple[str, str]:
    """Return the sort and the name of the product that a file or a note belongs to."""
    parts = file.parts[1:] if file.parts[0] == MADE else file.parts
    if parts[0] == "concepts" and len(parts) > 2:
        parts = (f"concepts {parts[1]}", *parts[2:])
    if len(parts) < 2 or parts[0] in ("tables", "figures", "report", "index_files"):
        return "", ""
    name = re.sub(r"(-source)?(\.(zarr|state|json))*$", "", parts[1])
    return parts[0], name


def _kind(file: Path) -> str:
    parts, name = file.parts, file.name
    if name in LOCKS or "owners" in parts or (parts[0] == "logs" and file != NOTE):
        return ""
    if parts[0] == "concepts" and len(parts) > 1:
        parts = (f"concepts {parts[1]}", *parts[2:])
    top = parts[0].partition(".")[0]
    if parts[0] == MADE:
        return f"notes of {parts[1]}" if len(parts) > 2 else "notes"
    for part in parts[:-1]:
        if part.endswith(".state"):
            return f"{top}: {'receipts' if 'receipts' in parts else name}"
        if part.endswith(".zarr"):
            inner = parts[parts.index(part) + 1 :]
            what = "coordinates" if inner[0] in COORDINATES else "shards"
            return f"{top}: {'descriptions' if name == 'zarr.json' else what}"
        if part.endswith("-source"):
            return f"drawn {file.suffix or 'lists'}"
    if len(parts) < 3 or parts[0] == "report":
        return f"{top}: {file.suffix}"
    return f"{top}: {re.sub('[0-9]+', 'N', name)}"


def damages(kinds: Mapping[str, Sequence[Path]], dice: Random) -> Iterator[Damage]:
    """Yield random damages without end, of each type of file in turn."""
    while True:
        for kind, files in kinds.items():
            yield _damage(kind, files, dice)


def _damage(kind: str, files: Sequence[Path], dice: Random) -> Damage:
    file, how = dice.choice(files), dice.choice(HOW)
    # the next run makes both again, so kc does not report them as missing
    made_again = file.parent.name == SOURCES or file.parts[-2:] == NOTE.parts
    content = file.read_bytes()
    others = [each for each in files if each != file and each.read_bytes() != content]
    if how == "delete" and not made_again:
        return Damage(kind, how, {file: None})
    if how == "exchange" and others and not made_again:
        other = dice.choice(others)
        return Damage(kind, how, {file: other.read_bytes(), other: content})
    how = how if how in CHANGES else "flip"
    changed = CHANGES[how](bytearray(content), dice)
    return Damage(kind, how, {file: changed}) if changed != content else _damage(kind, files, dice)


def cause(damage: Damage) -> None:
    """Write the damage to the files."""
    for file, content in damage.files.items():
        file.unlink() if content is None else file.write_bytes(content)


def look(folder: Path, damage: Damage) -> dict[str, Any]:
    """Cause a damage, record what ``verify`` prints, and undo the damage."""
    kept = {file: (file.read_bytes(), file.stat()) for file in damage.files}
    cause(damage)
    lines = damages_under(folder)
    for file, (content, about) in kept.items():
        file.write_bytes(content)
        os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))
    told = [line for line in lines if any(_names(line, file) for file in damage.files)]
    named = all(any(_names(line, file) for line in lines) for file in damage.files)
    fixes = [line.partition("ix: ")[2] for line in told]
    return damage.about | {"named": named, "fixes": sorted(set(fixes)), "lines": lines[:3]}


def _names(line: str, file: Path) -> bool:
    return str(file.parent) in line and file.name in line and "ix: " in line


def repair(
    folder: Path,
    damages: Sequence[Damage],
    run: Callable[[str], object],
    made: Callable[[], dict[str, bytes]],
    whole: Mapping[str, bytes],
) -> list[str]:
    """Cause several damages at once, run each printed fix, and list the remaining damages.

    Parameters
    ----------
    run
        Runs a fix in a shell.
    made
        Reads the folder in comparable form.
    whole
        What ``made`` returned before.
    """
    for damage in damages:
        cause(damage)
    lines = ask(partial(damages_under, folder), folder.parent)
    for fix in dict.fromkeys(line.partition("ix: ")[2] for line in lines):
        run(fix)
    left: list[str] = ask(partial(damages_under, folder), folder.parent)
    return left + differences(made(), dict(whole))


def batches(
    damages: Sequence[Damage], fixes: Sequence[Sequence[str]]
) -> Iterator[tuple[str, list[Damage]]]:
    """Group the damages by their fix, with no file twice in one batch."""
    by_fix: dict[str, list[list[Damage]]] = defaultdict(list)
    for damage, some in zip(damages, fixes, strict=True):
        rounds = by_fix["\n".join(some)]
        free = (each for each in rounds if not _files(each) & set(damage.files))
        batch = next(free, None)
        if batch is None:
            rounds.append(batch := [])
        batch.append(damage)
    for fix, rounds in by_fix.items():
        for batch in rounds:
            yield fix, batch


def _files(damages: Sequence[Damage]) -> set[Path]:
    return {file for damage in damages for file in damage.files}
