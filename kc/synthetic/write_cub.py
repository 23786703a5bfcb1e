"""Writer of drawn birds in the layout of CUB-200-2011, with masks.

The seed of picture k of class c is derived from (seed, c, k), so a picture does not depend on the
number of pictures or classes.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from kc.datasets.samples import Box
from kc.runtime import derive_seed
from kc.settings.dataset import Generated
from kc.synthetic.bird_painting import paint
from kc.synthetic.drawn_files import box_of, each_picture, save_lines, save_picture
from kc.synthetic.painting import Painting
from kc.synthetic.species import species

ABOUT = "Drawn by kc in the layout of CUB-200-2011; no photograph."


class _Row(NamedTuple):
    """One picture's line in the lists."""

    number: int
    path: str
    class_number: int
    is_train: bool
    box: Box


def write_cub(settings: Generated, folder: Path) -> None:
    """Draw all birds into ``folder``: pictures, masks and the five lists."""
    rows = [_write_one(settings, *which, folder) for which in each_picture(settings, "birds")]
    _write_lists(settings, rows, folder)


def class_folder(settings: Generated, number: int) -> str:
    """Format the folder of class ``number`` (from 0) as CUB does: ``001.Hill_Wren``."""
    return f"{number + 1:03d}.{species(number, settings.seed).name}"


def draw_bird(settings: Generated, number: int, index: int) -> Painting:
    """Draw picture ``index`` of class ``number``, both from 0."""
    rng = np.random.default_rng(derive_seed("bird", settings.seed, number, index))
    return paint(species(number, settings.seed), rng, settings.canvas, settings.difficulty)


def _write_one(settings: Generated, number: int, index: int, is_train: bool, folder: Path) -> _Row:
    name = class_folder(settings, number)
    path = f"{name}/{name.partition('.')[2]}_{index + 1:04d}.jpg"
    painting = draw_bird(settings, number, index)
    save_picture(painting.image, folder / "images" / path)
    mask = (folder / "segmentations" / path).with_suffix(".png")
    mask.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(painting.foreground.astype(np.uint8) * 255).save(mask)
    return _Row(
        number=number * settings.images_per_class + index + 1,
        path=path,
        class_number=number + 1,
        is_train=is_train,
        box=box_of(painting.foreground),
    )


def _write_lists(settings: Generated, rows: list[_Row], folder: Path) -> None:
    lists: dict[str, list[str]] = {
        "images.txt": [f"{row.number} {row.path}" for row in rows],
        "image_class_labels.txt": [f"{row.number} {row.class_number}" for row in rows],
        "train_test_split.txt": [f"{row.number} {int(row.is_train)}" for row in rows],
        "bounding_boxes.txt": [f"{row.number} {_spelled(row.box)}" for row in rows],
        "classes.txt": [
            f"{number + 1} {class_folder(settings, number)}" for number in range(settings.classes)
        ],
        "README": [ABOUT],
    }
    for name, lines in lists.items():
        save_lines(folder / name, lines)


def _spelled(box: Box) -> str:
    """Format a box as CUB does: left, top, width, height."""
    values = (box.left, box.top, box.right - box.left, box.bottom - box.top)
    return " ".join(f"{value:.1f}" for value in values)
