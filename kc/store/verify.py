"""Check what lies in a folder: stores, and products with a card."""

from pathlib import Path
from typing import Any

from kc.errors import StoreError
from kc.plans.commands import fix_at
from kc.store.files import CHECKSUM, read_signed, sign
from kc.store.place import is_remote
from kc.store.product import CARD, KEY, RESULT, damaged_files
from kc.store.reader import open_store
from kc.store.register import unlike_notes

PARTS = (".zarr", ".state")


def damages_under(path: Path) -> list[str]:
    """Check a store, a product, or all of both under a folder; one line a damage.

    Parameters
    ----------
    path
        ``NAME.zarr`` or its manifest; a product's folder (weights, fits) or its ``card.json``;
        any folder that holds such; or a store's URL.

    Raises
    ------
    StoreError
        There is nothing of the kind.
    """
    if is_remote(path):
        return _of_store(path)
    if path.name == CARD or (path / CARD).is_file():
        return _of_product(path.parent if path.name == CARD else path)
    if path.suffix in (".zarr", ".json") and path.exists():
        return _of_store(path)
    stores, products = _found_under(path)
    noted = unlike_notes(path)
    if not stores and not products and not noted:
        raise StoreError(f"{path}: no store (NAME.zarr) and no product (with a {CARD}) is here.")
    found = [_of_store(store) for store in stores] + [_of_product(folder) for folder in products]
    told = [line for part in found for line in part]
    # what is told by its own check is not told again by the notes
    return told + [line for line in noted if line not in told]


def _found_under(path: Path) -> tuple[list[Path], list[Path]]:
    """List stores and products of which anything is left: arrays, a manifest, a card, a key."""
    stores, products = set(), set()
    for each in path.rglob("*"):
        inside = any(part.endswith(PARTS) for part in each.relative_to(path).parts[:-1])
        if each.suffix in PARTS or (not inside and _is_manifest(each)):
            stores.add(each.with_suffix(".zarr"))
        elif not inside and (each.name == KEY or _is_card(each)):
            products.add(each.parent)
    return sorted(stores), sorted(products)


def _is_manifest(file: Path) -> bool:
    return file.suffix == ".json" and _holds(file, "mend", "shard_rows")


def _is_card(file: Path) -> bool:
    """Tell a product's card; that of drawn pictures is not signed."""
    return file.name in (CARD, RESULT) and _holds(file, "files", "key", CHECKSUM)


def _holds(file: Path, *fields: str) -> bool:
    """Tell a file of kc's by its fields, also where it is damaged elsewhere."""
    if not file.is_file():
        return False
    text = file.read_bytes()
    return all(f'"{field}":'.encode() in text for field in fields)


def _of_store(path: Path) -> list[str]:
    try:
        return open_store(path).verify()
    except StoreError as error:
        return [str(error)]


def _of_product(folder: Path) -> list[str]:
    """Check the files against the card, or its copy, and the bookkeeping; name all that is bad."""
    cure = fix_at(folder)
    found: dict[str, dict[str, Any]] = {}
    damages = []
    for name in (CARD, RESULT, KEY):
        try:
            found[name] = read_signed(folder / name, cure)
        except StoreError as error:
            damages.append(str(error))
    cards = [name for name in (CARD, RESULT) if "files" in found.get(name, {})]
    if not cards:
        return damages or [f"{folder / CARD}: no card. Cure: {cure}"]
    card = found[cards[0]]
    expected = {CARD: card, RESULT: card, KEY: sign({"key": card["key"]})}
    wrong = [name for name in found if found[name] != expected[name]]
    wrong += damaged_files(folder, card)
    return damages + [
        f"{folder / name}: missing or not the one written. Cure: {cure}" for name in wrong
    ]
