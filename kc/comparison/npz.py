"""Several arrays in one file of numpy's: ``.npz``, read without pickles."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from kc.errors import FeatureError

SUFFIX = ".npy"
"""Of an array's name within the file."""


class ZippedArray:
    """An array of an ``.npz``: shape and type are known, the numbers are read when asked for."""

    def __init__(self, path: Path, member: str) -> None:
        self.path, self.member = path, member
        with zipfile.ZipFile(path) as file, file.open(member) as opened:
            form = np.lib.format
            is_first = form.read_magic(opened) == (1, 0)
            read = form.read_array_header_1_0 if is_first else form.read_array_header_2_0
            self.shape, _, self.dtype = read(opened)

    def __getitem__(self, rows: Any) -> np.ndarray:
        # what is packed is read from its beginning, whatever is asked for
        with zipfile.ZipFile(self.path) as file, file.open(self.member) as opened:
            return np.asarray(np.lib.format.read_array(opened, allow_pickle=False)[rows])


def read_npz(path: Path) -> dict[str, ZippedArray]:
    """Open the arrays of a file, by name.

    Raises
    ------
    FeatureError
        No zip, a damaged one, or one that holds anything but arrays.
    """
    try:
        with zipfile.ZipFile(path) as file:
            names = file.namelist()
        return {name.removesuffix(SUFFIX): ZippedArray(path, name) for name in names}
    # whatever a damaged file makes zipfile and numpy raise
    except Exception as error:
        raise FeatureError(
            f"{path}: not readable as .npz ({type(error).__name__}: {error!s:.300}). Fix: "
            "numpy.savez of arrays of numbers."
        ) from error
