"""Writer of drawn dogs in the layout of Stanford Dogs: pictures, annotations and .mat lists.

The seed of picture k of class c is derived from (seed, c, k), so a picture does not depend on the
number of pictures or classes.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.io import savemat

from kc.runtime import derive_seed
from kc.settings.dataset import Generated
from kc.synthetic.annotation import AnnotatedObject, annotation_xml
from kc.synthetic.breeds import breed
from kc.synthetic.dog_painting import paint_dog
from kc.synthetic.drawn_files import box_of, each_picture, save_lines, save_picture
from kc.synthetic.painting import Painting

ABOUT = "Drawn by kc in the layout of Stanford Dogs; no photograph."
FIRST_ID = 90_000_001
"""Above all WordNet offsets, so that no drawn breed has the id of a real one."""
MAT_HEADER = b"MATLAB 5.0 MAT-file, drawn by kc".ljust(116)
"""Replaces scipy's header, which contains the time of writing."""


class _Row(NamedTuple):
    """One picture's row in the lists."""

    path: str
    """``FOLDER/NAME``, without a suffix."""
    class_number: int
    is_train: bool


def write_dogs(settings: Generated, folder: Path) -> None:
    """Draw all dogs into ``folder``: pictures, annotations and the three lists."""
    rows = [
        _Row(_write_one(settings, number, index, folder), number + 1, is_train)
        for number, index, is_train in each_picture(settings, "dogs")
    ]
    lists = {
        "file_list.mat": rows,
        "train_list.mat": [row for row in rows if row.is_train],
        "test_list.mat": [row for row in rows if not row.is_train],
    }
    for name, listed in lists.items():
        (folder / name).write_bytes(_mat(listed))
    save_lines(folder / "README", [ABOUT])


def breed_folder(settings: Generated, number: int) -> str:
    """Format the folder of a class (from 0) as Stanford Dogs does: ``n90000001-Fen_spitz``."""
    return f"n{FIRST_ID + number}-{breed(number, settings.seed).name}"


def draw_dog(settings: Generated, number: int, index: int) -> Painting:
    """Draw picture ``index`` of class ``number``, both from 0."""
    rng = np.random.default_rng(derive_seed("dog", settings.seed, number, index))
    return paint_dog(breed(number, settings.seed), rng, settings.canvas, settings.difficulty)


def _write_one(settings: Generated, number: int, index: int, folder: Path) -> str:
    """Write a picture and its annotation; corners count from 0 and exclude the last pixel."""
    within = breed_folder(settings, number)
    wordnet_id, _, name = within.partition("-")
    file = f"{wordnet_id}_{index + 1}"
    painting = draw_dog(settings, number, index)
    save_picture(painting.image, folder / "Images" / within / f"{file}.jpg")
    dog = AnnotatedObject(name, box_of(painting.foreground))
    text = annotation_xml(wordnet_id[1:], file, settings.canvas, [dog], segmented=False)
    save_lines(folder / "Annotation" / within / file, text)
    return f"{within}/{file}"


def _mat(rows: Sequence[_Row]) -> bytes:
    """Format a list like the official ones: cells (n, 1) of names, labels (n, 1) uint8 from 1."""
    names = np.array([row.path for row in rows], dtype=object)[:, None]
    variables = {
        "file_list": names + ".jpg",
        "annotation_list": names,
        "labels": np.array([row.class_number for row in rows], dtype=np.uint8)[:, None],
    }
    buffer = io.BytesIO()
    savemat(buffer, variables)
    return MAT_HEADER + buffer.getvalue()[len(MAT_HEADER) :]
