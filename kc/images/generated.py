"""The generated data set, written as a folder in CUB's own layout, so that one reader reads both.

Picture k of class c is drawn from a seed derived from (seed, c, k): it does not depend on how many
pictures or classes there are.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xxhash
from PIL import Image
from tqdm import tqdm

from kc.config import Generated
from kc.errors import StoreError
from kc.images.painting import Painting, paint
from kc.images.species import species
from kc.provenance import product_key
from kc.runtime import derive_seed
from kc.store.files import file_digest, read_json, write_json_atomic

CARD = "card.json"
"""Key and digest of the folder; a folder without one is not complete."""
JPEG_QUALITY = 95
ABOUT = "Drawn by kc (kc/images/generated.py) in the layout of CUB-200-2011; no photograph.\n"


class _Row(NamedTuple):
    """One picture's line in the lists."""

    number: int
    path: str
    class_number: int
    is_train: bool
    box: tuple[int, int, int, int]
    """left, top, width, height, px"""


def write_generated(settings: Generated, folder: Path) -> None:
    """Draw the data set into ``folder``, unless it is there already, whole and of these settings.

    It is drawn aside and renamed, so that a kill leaves nothing that reads as complete.
    """
    key = product_key(settings, {}, "kc.images.generated")
    if _is_whole(folder, key):
        return
    aside = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    rows = list(_draw_all(settings, aside))
    _write_lists(settings, rows, aside)
    write_json_atomic(aside / CARD, {"key": key, "digest": _digest(aside)})
    shutil.rmtree(folder, ignore_errors=True)
    aside.rename(folder)


def class_folder(settings: Generated, number: int) -> str:
    """Spell the folder of class ``number`` (from 0) as CUB does: ``001.Hill_Wren``."""
    return f"{number + 1:03d}.{species(number, settings.seed).name}"


def draw(settings: Generated, number: int, index: int) -> Painting:
    """Draw picture ``index`` of class ``number``, both from 0."""
    rng = np.random.default_rng(derive_seed("bird", settings.seed, number, index))
    return paint(species(number, settings.seed), rng, settings.canvas, settings.difficulty)


def _draw_all(settings: Generated, folder: Path) -> Iterator[_Row]:
    total = settings.classes * settings.images_per_class
    with tqdm(total=total, desc="drawing", unit="image", disable=None, delay=10) as bar:
        for number in range(settings.classes):
            trained = _training_images(settings, number)
            for index in range(settings.images_per_class):
                yield _write_one(settings, number, index, index in trained, folder)
                bar.update()


def _training_images(settings: Generated, number: int) -> set[int]:
    count = settings.images_per_class
    tested = min(max(round(count * settings.test_share), 1), count - 1)
    order = np.random.default_rng(derive_seed("split", settings.seed, number)).permutation(count)
    return set(order[tested:].tolist())


def _write_one(settings: Generated, number: int, index: int, is_train: bool, folder: Path) -> _Row:
    name = class_folder(settings, number)
    path = f"{name}/{name.partition('.')[2]}_{index + 1:04d}.jpg"
    painting = draw(settings, number, index)
    picture = folder / "images" / path
    mask = (folder / "segmentations" / path).with_suffix(".png")
    picture.parent.mkdir(parents=True, exist_ok=True)
    mask.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(painting.image).save(picture, quality=JPEG_QUALITY, subsampling=0)
    Image.fromarray(painting.foreground.astype(np.uint8) * 255).save(mask)
    ys, xs = np.nonzero(painting.foreground)
    left, top = int(xs.min()), int(ys.min())
    return _Row(
        number=number * settings.images_per_class + index + 1,
        path=path,
        class_number=number + 1,
        is_train=is_train,
        box=(left, top, int(xs.max()) + 1 - left, int(ys.max()) + 1 - top),
    )


def _write_lists(settings: Generated, rows: list[_Row], folder: Path) -> None:
    lists: dict[str, list[str]] = {
        "images.txt": [f"{row.number} {row.path}" for row in rows],
        "image_class_labels.txt": [f"{row.number} {row.class_number}" for row in rows],
        "train_test_split.txt": [f"{row.number} {int(row.is_train)}" for row in rows],
        "bounding_boxes.txt": [
            f"{row.number} {' '.join(f'{value:.1f}' for value in row.box)}" for row in rows
        ],
        "classes.txt": [
            f"{number + 1} {class_folder(settings, number)}" for number in range(settings.classes)
        ],
    }
    for name, lines in lists.items():
        (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    (folder / "README").write_text(ABOUT, encoding="utf-8")


def _is_whole(folder: Path, key: str) -> bool:
    if not (folder / CARD).is_file():
        return False
    try:
        card: Any = read_json(folder / CARD)
    except StoreError:
        return False
    return isinstance(card, dict) and card == {"key": key, "digest": _digest(folder)}


def _digest(folder: Path) -> str:
    """Hash names and contents of all files but the card."""
    total = xxhash.xxh3_128()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != CARD:
            total.update(f"{path.relative_to(folder).as_posix()} {file_digest(path)}\n".encode())
    return str(total.hexdigest())
