"""Notes of all products of a results folder, by which missing or exchanged ones are found.

A product can tell whether it is complete, but not that it should exist, nor under which name.
``kc-made/KIND/NAME.json`` in the results folder holds both: its name, its key and the digest of
its content, or the digest of each file if it has no card (tables, figures, pages). The note is
written before the card or the manifest, so every finished product has one.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from kc.errors import StoreError
from kc.files.made import MADE
from kc.plans.commands import fix_at
from kc.store.files import file_digest, read_signed, sign, write_signed


def note_made(path: Path, about: Mapping[str, Any]) -> None:
    """Note a product that is about to be finished, if the results folder keeps notes.

    Parameters
    ----------
    path
        A store (``NAME.zarr``), the folder of a product, or a file.
    about
        ``key`` and ``digest`` of a product with a card or manifest; else ``files``, digests by
        name relative to the path's folder.
    """
    note, name = _note_of(path)
    content = dict(about) | {"name": name}
    if note is not None and _known(note) != sign(content):
        write_signed(note, content)


def noted_key(path: Path) -> str:
    """Return the key in a product's note; empty if the note is missing or damaged."""
    note, _ = _note_of(path)
    return "" if note is None else str(_known(note).get("key", ""))


def is_noted(path: Path) -> bool:
    """Return whether a product has a note, damaged or not."""
    note, _ = _note_of(path)
    return note is not None and note.is_file()


def forget(path: Path) -> None:
    """Remove the note of a product that was removed on purpose."""
    note, _ = _note_of(path)
    if note is not None:
        note.unlink(missing_ok=True)


def noted_files(path: Path) -> set[str]:
    """Return the noted files of a product without a card, relative to its folder."""
    note, _ = _note_of(path)
    return set() if note is None else set(_known(note).get("files", ()))


def unlike_notes(path: Path, inner: Iterable[Path]) -> list[str]:
    """Compare what is at a path or below it with the notes; return one line per damage.

    Files of products and shards of stores are not read: cards and manifests cover them.
    ``inner``: results folders below the path.
    """
    whole = path.absolute()
    around = _base_of(whole)
    found: list[str] = []
    for base in sorted({*(each.absolute() for each in inner), *([around] if around else [])}):
        for note in sorted((base / MADE).rglob("*.json")):
            name = note.relative_to(base / MADE).as_posix().removesuffix(".json")
            if (base / name).is_relative_to(whole):
                found += _unlike(base, name, note)
    return found


def unnoted(paths: Iterable[Path]) -> list[str]:
    """Return one line per finished product whose note is missing."""
    found = []
    for path in paths:
        note, _ = _note_of(path)
        if note is not None and not note.is_file():
            found.append(f"{note}: missing, though {path.name} exists. Fix: {fix_at(path)}")
    return found


def _unlike(base: Path, name: str, note: Path) -> Iterator[str]:
    path = base / name
    fix = fix_at(path)
    try:
        about = read_signed(note, fix)
    except StoreError as error:
        yield str(error)
        return
    if about.get("name") != name:
        yield f"{note}: the note of another product, {about.get('name')}. Fix: {fix}"
        return
    for file, digest in about.get("files", {}).items():
        there = path.parent / file
        if not there.is_file():
            yield f"{there}: missing. Fix: {fix_at(there)}"
        elif file_digest(there) != digest:
            yield f"{there}: not the file that was written. Fix: {fix_at(there)}"
    if "digest" in about:
        yield from _unlike_card(path, about, fix)


def _unlike_card(path: Path, about: Mapping[str, Any], fix: str) -> Iterator[str]:
    is_store = path.suffix == ".zarr"
    card = path.with_suffix(".json") if is_store else path / "card.json"
    if not card.is_file():
        what = "store" if is_store else "product"
        yield f"{card}: missing, though the {what} was finished. Fix: {fix}"
        return
    try:
        told = read_signed(card, fix)
    except StoreError:
        return  # reported by the check of the product
    if any(told.get(word) != about[word] for word in ("key", "digest")):
        yield (
            f"{card}: belongs to another product than the one made under this name (key "
            f"{told.get('key')}, expected {about['key']}). Fix: {fix}"
        )


def _base_of(path: Path) -> Path | None:
    whole = path.absolute()
    return next((each for each in (whole, *whole.parents) if (each / MADE).is_dir()), None)


def _note_of(path: Path) -> tuple[Path | None, str]:
    """Return the file of a product's note (None if notes are not kept), and its name."""
    base = _base_of(path)
    name = "" if base is None else path.absolute().relative_to(base).as_posix()
    return (None if base is None else base / MADE / f"{name}.json"), name


def _known(note: Path) -> dict[str, Any]:
    try:
        return read_signed(note)
    except StoreError:
        return {}
