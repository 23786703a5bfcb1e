"""Read the arrays of an ``.npz`` file of numpy, without pickles."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from kc.errors import FeatureError

SUFFIX = ".npy"
"""Suffix of an array's name in the file."""


class ZippedArray:
    """An array of an ``.npz``: shape and type are read at once, the numbers on access."""

    by_row = False
    """Rows can only be read from the start."""

    def __init__(self, path: Path, member: str) -> None:
        self.path, self.member = path, member
        with zipfile.ZipFile(path) as file, file.open(member) as opened:
            form = np.lib.format
            is_first = form.read_magic(opened) == (1, 0)
            read = form.read_array_header_1_0 if is_first else form.read_array_header_2_0
            self.shape, _, self.dtype = read(opened)

    def __getitem__(self, rows: Any) -> np.ndarray:
        # compressed data can only be read from the start
        with zipfile.ZipFile(self.path) as file, file.open(self.member) as opened:
            return np.asarray(np.lib.format.read_array(opened, allow_pickle=False)[rows])


def read_npz(path: Path) -> dict[str, ZippedArray]:
    """Open the arrays of a file, by name.

    Raises
    ------
    FeatureError
        The file is not a zip, is damaged, or holds anything but arrays.
    """
    try:
        with zipfile.ZipFile(path) as file:
            names = file.namelist()
        return {name.removesuffix(SUFFIX): ZippedArray(path, name) for name in names}
    # a damaged file can make zipfile and numpy raise anything
    except Exception as error:
        raise FeatureError(
            f"{path}: not readable as .npz ({type(error).__name__}: {error!s:.300}). Fix: "
            "numpy.savez of arrays of numbers."
        ) from error
