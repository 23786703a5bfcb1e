"""Check stores, products, tables, figures and pages in a folder, and their notes."""

from pathlib import Path
from typing import Any, NamedTuple

from kc.errors import StoreError
from kc.files.made import MADE
from kc.files.sources import FOLDER as SOURCES
from kc.files.sources import is_record
from kc.plans.commands import AGAIN, DRAWN, NOTE, PAGE_FILES, command, fix_at, read_run
from kc.store.files import CHECKSUM, read_signed, sign
from kc.store.manifest import DROPPED
from kc.store.ownership import LEDGER, is_table, looks_signed
from kc.store.place import is_remote
from kc.store.product import CARD, KEY, RESULT, damaged_files
from kc.store.reader import store_damages
from kc.store.register import unlike_notes, unnoted

PARTS = (".zarr", ".state")
MAKER = {".png": b"Software\0kc", ".svg": b"<dc:title>kc</dc:title>"}
"""Bytes by which figures of kc are recognised."""


def damages_under(path: Path) -> list[str]:
    """Check a store, a product, or all of them under a folder; return one line per damage.

    Parameters
    ----------
    path
        ``NAME.zarr`` or its manifest; a product's folder (weights, fits) or its ``card.json``;
        any folder with these below it; or a store's URL.

    Raises
    ------
    StoreError
        There is neither.
    """
    if is_remote(path):
        return store_damages(path)
    is_drawn = path.name.endswith(DRAWN)
    if path.name == CARD or ((path / CARD).is_file() and not is_drawn):
        return _of_product(path.parent if path.name == CARD else path)
    if path.suffix in (".zarr", ".json") and path.exists():
        return store_damages(path)
    there = _found_under(path)
    noted = unlike_notes(path, there.results)
    if not any((there.stores, there.products, there.written, noted)):
        raise StoreError(f"{path}: no store (NAME.zarr) and no product (with a {CARD}) is here.")
    found = [store_damages(store) for store in there.stores]
    found += [_of_product(folder) for folder in there.products]
    found += [_of_file(file) for file in there.files]
    noted += unnoted(sorted({*there.finished(), *there.written}))
    told = [line for part in found for line in part]
    # damage found by a product's own check is not repeated by the notes
    return told + [line for line in noted if line not in told]


class _There(NamedTuple):
    """What is in a folder."""

    stores: list[Path]
    """Stores of which at least arrays or a manifest exist."""
    products: list[Path]
    """Products of which at least a card or key exists."""
    written: list[Path]
    """Tables, figures, pages and folders of drawn pictures, by the names in their notes."""
    files: list[Path]
    """Files with their own checksum: lists, records of sources, notes of runs and drops."""
    results: list[Path]
    """Results folders that keep notes."""

    def finished(self) -> list[Path]:
        """List the stores and products that must have a note."""
        stores = [store for store in self.stores if store.with_suffix(".json").is_file()]
        return stores + [each for each in self.products if (each / CARD).is_file()]


def _found_under(path: Path) -> _There:
    stores, products, written, files, results = set(), set(), set(), set(), set()
    for each in path.rglob("*"):
        folders = each.relative_to(path).parts[:-1]
        if each.name == MADE:
            results.add(each.parent)
        if MADE in folders:
            continue
        inside = any(part.endswith(PARTS) for part in folders)
        is_manifest = each.suffix == ".json" and not inside and _holds(each, "mend", "shard_rows")
        if each.suffix in PARTS or is_manifest:
            stores.add(each.with_suffix(".zarr"))
        elif inside or not each.is_file():
            continue
        elif each.name == KEY or _is_card(each):
            products.add(each.parent)
        elif each.parent.name == PAGE_FILES:
            continue  # the page's note holds them
        elif each.name == LEDGER or _is_of_run(each):
            files.add(each)
        else:
            written |= _written_as(each)
    return _There(*map(sorted, (stores, products, written, files, results)))


def _is_of_run(file: Path) -> bool:
    """Return whether a file is a record, or a note of a run or a drop, where notes are kept."""
    kind, base = file.parent.name, file.parent.parent
    if kind == DROPPED:
        return (base.parent / MADE).is_dir()
    return (kind == SOURCES or file.parts[-2:] == NOTE.parts) and (base / MADE).is_dir()


def _written_as(file: Path) -> set[Path]:
    """Return under which name a table, figure, page or drawn pictures are noted; else nothing."""
    if file.name == CARD and file.parent.name.endswith(DRAWN):
        return {file.parent}
    if file.name == "index.html" and b'<meta name="generator" content="kc">' in _head(file):
        return {file}
    if file.suffix == ".json" and file.parent.name == "tables" and is_table(file):
        return {file}
    maker = MAKER.get(file.suffix) if file.parent.name == "figures" else None
    return {file.with_suffix("")} if maker and maker in _head(file) else set()


def _head(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(2048)


def _of_file(file: Path) -> list[str]:
    """Check a file that holds its own checksum; ignore others of the same name."""
    if file.parent.name == SOURCES:
        fix = command("rm", file)
        return [] if is_record(file) else [f"{file}: damaged; the next run writes it. Fix: {fix}"]
    if file.parts[-2:] == NOTE.parts:
        line = f"{file}: damaged; the next run writes it. Fix: {AGAIN}"
        return [] if read_run(file) else [line]
    try:
        read_signed(file)
    except StoreError as error:
        return [str(error)] if looks_signed(file.read_text(errors="replace")) else []
    return []


def _is_card(file: Path) -> bool:
    """Return whether a file is a product's card; drawn pictures are found by their note."""
    is_card = file.name in (CARD, RESULT) and not file.parent.name.endswith(DRAWN)
    return is_card and _holds(file, "files", "key", CHECKSUM)


def _holds(file: Path, *fields: str) -> bool:
    """Return whether a file has these fields, as one of kc does even if damaged elsewhere."""
    if not file.is_file():
        return False
    text = file.read_bytes()
    return all(f'"{field}":'.encode() in text for field in fields)


def _of_product(folder: Path) -> list[str]:
    """Check card, copy, key and all files of a product; return one line per damage."""
    fix = fix_at(folder)
    found: dict[str, dict[str, Any]] = {}
    damages = []
    for name in (CARD, RESULT, KEY):
        try:
            found[name] = read_signed(folder / name, fix)
        except StoreError as error:
            damages.append(str(error))
    cards = [name for name in (CARD, RESULT) if "files" in found.get(name, {})]
    if not cards:
        return damages or [f"{folder / CARD}: no card. Fix: {fix}"]
    card = found[cards[0]]
    expected = {CARD: card, RESULT: card, KEY: sign({"key": card["key"]})}
    wrong = [name for name in found if found[name] != expected[name]]
    wrong += damaged_files(folder, card)
    return damages + [
        f"{folder / name}: missing or not the one written. Fix: {fix}" for name in wrong
    ]
