"""Check the places where a comparison writes: none may be, hold, or be inside a user's file."""

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile

from kc.comparison.classes import IMAGES
from kc.comparison.one_pass import PAIRS
from kc.comparison.reference_table import FILE as REFERENCES
from kc.comparison.sides import ComparedSide, names_of_pictures
from kc.comparison.similarities import CKA, SIMILARITIES
from kc.consistency import saved
from kc.consistency.rungs import LADDER, MOVED
from kc.errors import StoreError
from kc.store.ownership import refuse_strangers, store_strangers
from kc.store.place import SUFFIXES, Folder
from kc.store.product import Product

FILES = {
    "fits": saved.FILES,
    "peers": (SIMILARITIES, CKA, PAIRS, REFERENCES),
    "classes": (IMAGES,),
    "ladder": (LADDER, MOVED),
}
"""All files that are written to a product's folder, by its parent folder."""


def check_places(
    out: Path,
    sides: Sequence[ComparedSide],
    images: Path | str | None,
    stores: Iterable[str],
    products: Iterable[str],
) -> None:
    """Refuse an output folder if kc would overwrite an input or a file that it did not make.

    Parameters
    ----------
    stores
        Stores in addition to those of the sides, relative to ``out``, without suffix.
    products
        Folders of fits and measures, relative to ``out``.

    Raises
    ------
    StoreError
        The error names the place and what is in it.
    """
    names = [f"activations/{side.letter}" for side in sides]
    names += [*sorted(set(names_of_pictures(sides).values())), *stores]
    folders = list(products)
    inputs = [file for side in sides for file in side.files]
    inputs += [] if images is None else [Path(images)]
    written = [out / f"{name}{suffix}" for name in names for suffix in SUFFIXES]
    refuse_inputs(written + [out / name for name in folders], inputs)
    refuse_files(out, {Path(name).parent for name in (*names, *folders)})
    check_writable(out)
    for name in names:
        refuse_strangers(out / f"{name}.zarr", store_strangers(Folder(out), name))
    for name in folders:
        Product(out / name, "", FILES[Path(name).parts[0]]).refuse_strangers()


def refuse_inputs(places: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Refuse a place that is an input, holds one, or is inside one.

    Files are compared by inode, so links, other spellings and mounts are found too.

    Raises
    ------
    StoreError
        The error names both.
    """
    read = [(path, _chain(path)) for path in inputs if path.exists()]
    for place in places:
        above = _chain(place)
        for path, chain in read:
            how = "is, or lies in," if chain[0] in above else "holds"
            if chain[0] in above or (place.exists() and above[0] in chain):
                raise StoreError(
                    f"{place}: kc writes here, and the place {how} {path}, which it reads. "
                    "Nothing was changed. Fix: another --out."
                )


def refuse_files(out: Path, folders: Iterable[Path]) -> None:
    """Refuse a file where a folder must be made.

    Raises
    ------
    StoreError
        The error names the file.
    """
    wanted = [out, *(out / folder for folder in sorted(folders))]
    above = [next(path for path in (each, *each.parents) if path.exists()) for each in wanted]
    refuse_strangers(out, sorted({str(path) for path in above if not path.is_dir()}))


def check_writable(out: Path) -> None:
    """Refuse a folder that cannot be made or written to; leave nothing behind.

    Raises
    ------
    StoreError
        The error gives the system's reason.
    """
    missing = [path for path in (out, *out.parents) if not os.path.lexists(path)]
    try:
        str(out.resolve()).encode()  # safetensors opens files by names in UTF-8
        out.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=out):
            pass
    except (OSError, ValueError) as error:
        raise _unusable(out, error) from error
    finally:
        for path in missing:
            with suppress(OSError):
                path.rmdir()


def _unusable(path: Path, error: Exception) -> StoreError:
    text = ascii(str(path))[1:-1] if isinstance(error, UnicodeError) else str(path)
    reason = "no name in UTF-8" if isinstance(error, UnicodeError) else error
    if os.path.islink(path) and not os.path.exists(path):  # noqa: PTH110, PTH114 - never raise
        reason = f"a link to what is not there, {path.readlink()}"
    return StoreError(f"{text}: kc cannot write there ({reason}). Fix: another --out.")


def _chain(path: Path) -> list[tuple[int, int]]:
    """Return device and inode of a path, if it exists, and of its parents, innermost first."""
    try:
        whole = path.resolve()
        about = [each.stat() for each in (whole, *whole.parents) if each.exists()]
    except (OSError, RuntimeError) as error:  # circular links; a name that is too long
        raise _unusable(path, error) from error
    return [(one.st_dev, one.st_ino) for one in about]
