"""What was made in a results folder, noted beside it, so that what is gone or exchanged is found.

A product says of itself whether it is whole, but not that it ought to be there, nor under which
name. ``kc-made/KIND/NAME.json`` in the results folder says both: its name, its key and the digest
of its content, or the digest of each file where it has no card (tables, figures, pages). It is
written before the card or the manifest, so a product that looks finished is always noted.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from kc.errors import StoreError
from kc.files.made import MADE
from kc.plans.commands import fix_at
from kc.store.files import file_digest, read_signed, sign, write_signed


def note_made(path: Path, about: Mapping[str, Any]) -> None:
    """Note a product that is about to be finished; where no notes are kept, nothing is done.

    Parameters
    ----------
    path
        A store (``NAME.zarr``), the folder of a product, or a file.
    about
        ``key`` and ``digest`` of what has a card or a manifest; ``files``, digests by name
        relative to the path's folder, of what has none.
    """
    note, name = _note_of(path)
    content = dict(about) | {"name": name}
    if note is not None and _known(note) != sign(content):
        write_signed(note, content)


def forget(path: Path) -> None:
    """Note no more that a product is there: it was removed on purpose."""
    note, _ = _note_of(path)
    if note is not None:
        note.unlink(missing_ok=True)


def noted_files(path: Path) -> set[str]:
    """Return the files that were noted of what has no card, relative to its folder; else none."""
    note, _ = _note_of(path)
    return set() if note is None else set(_known(note).get("files", ()))


def unlike_notes(path: Path, inner: Iterable[Path]) -> list[str]:
    """Hold what lies at a path or below it against the notes; one line a damage.

    Files of products and shards of stores are not read: their cards and manifests name them.
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
    """Hold finished products against the notes the other way; one line a note that is gone."""
    found = []
    for path in paths:
        note, _ = _note_of(path)
        if note is not None and not note.is_file():
            found.append(f"{note}: gone, though {path.name} is there. Fix: {fix_at(path)}")
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
        yield f"{note}: is the note of {about.get('name')}. Fix: {fix}"
        return
    for file, digest in about.get("files", {}).items():
        there = path.parent / file
        if not there.is_file():
            yield f"{there}: gone. Fix: {fix_at(there)}"
        elif file_digest(there) != digest:
            yield f"{there}: not the file that was written. Fix: {fix_at(there)}"
    if "digest" in about:
        yield from _unlike_card(path, about, fix)


def _unlike_card(path: Path, about: Mapping[str, Any], fix: str) -> Iterator[str]:
    is_store = path.suffix == ".zarr"
    card = path.with_suffix(".json") if is_store else path / "card.json"
    if not card.is_file():
        what = "store" if is_store else "product"
        yield f"{card}: gone, though the {what} was finished. Fix: {fix}"
        return
    try:
        told = read_signed(card, fix)
    except StoreError:
        return  # its own check says so
    if any(told.get(word) != about[word] for word in ("key", "digest")):
        yield (
            f"{card}: of another product than the one made under this name (key "
            f"{told.get('key')}, expected {about['key']}). Fix: {fix}"
        )


def _base_of(path: Path) -> Path | None:
    whole = path.absolute()
    return next((each for each in (whole, *whole.parents) if (each / MADE).is_dir()), None)


def _note_of(path: Path) -> tuple[Path | None, str]:
    """Return the file of a product's note (None: no notes are kept), and the product's name."""
    base = _base_of(path)
    name = "" if base is None else path.absolute().relative_to(base).as_posix()
    return (None if base is None else base / MADE / f"{name}.json"), name


def _known(note: Path) -> dict[str, Any]:
    try:
        return read_signed(note)
    except StoreError:
        return {}
