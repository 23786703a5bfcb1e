"""Check what lies in a folder: stores, and products with a card."""

from pathlib import Path

from kc.errors import StoreError
from kc.store.files import read_signed, sign
from kc.store.place import is_remote
from kc.store.product import CARD, KEY, RESULT, read_card
from kc.store.reader import open_store


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
    stores = sorted(path.rglob("*.zarr")) if path.is_dir() else []
    keys = [key.parent for key in sorted(path.rglob(KEY)) if key.parent.suffix != ".state"]
    if not stores and not keys:
        raise StoreError(f"{path}: no store (NAME.zarr) and no product (with a {CARD}) is here.")
    found = [_of_store(store) for store in stores] + [_of_product(folder) for folder in keys]
    return [line for part in found for line in part]


def _of_store(path: Path) -> list[str]:
    try:
        return open_store(path).verify()
    except StoreError as error:
        return [str(error)]


def _of_product(folder: Path) -> list[str]:
    """Check card, files, and the two bookkeeping files that tell the same."""
    cure = f"rm -r {folder} and run the workflow again"
    damages = []
    try:
        card = read_card(folder, cure)
    except StoreError as error:
        return [str(error)]
    for name, expected in ((RESULT, card), (KEY, sign({"key": card["key"]}))):
        try:
            found = read_signed(folder / name, cure)
        except StoreError as error:
            damages.append(str(error))
            continue
        if found != expected:
            damages.append(f"{folder / name}: not the one that {CARD} belongs to. Cure: {cure}")
    return damages
