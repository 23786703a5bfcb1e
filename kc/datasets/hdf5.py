"""Reader of the arrays of a user's HDF5 file, and of the files that hold their content.

An HDF5 file can show the content of other files as its own. Here only virtual data sets may do
so, and only with HDF5 files in the same folder or below.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np

from kc.errors import FeatureError
from kc.plans.optional import import_optional

DEPTH = 8
"""Most levels of nested virtual data sets; deeper ones are treated as circular."""
_PREFIX = "HDF5_VDS_PREFIX"
_COPY = "Fix: copy the array into the file, h5py: file['copy'] = array[:]"


class Opened(NamedTuple):
    """Arrays by name, and the files that hold their content, the named file first."""

    arrays: dict[str, Any]
    files: tuple[Path, ...]


def read_hdf5(path: Path, only: str | None = None) -> Opened:
    """Open the arrays of a file, or only the one named ``only``.

    Raises
    ------
    FeatureError
        The file is no HDF5, h5py is not installed, or the content of an array is in a file that is
        in another folder, no HDF5, missing, or too short (HDF5 would read zeros).
    """
    h5py = _h5py(path)
    with _readable(path):
        real = path.resolve()
        file = h5py.File(real, "r")
        arrays, links = _listed(h5py, file)
        for name, link in links.items():
            if only is None or f"{only}/".startswith(f"{name}/"):
                raise FeatureError(
                    f"{path}: '{name}' is a link into another file, '{link.filename}', which kc "
                    f"does not follow. {_COPY}, or name an array of this file, {path}:NAME"
                )
        found = None if only is None else _followed(h5py, file, only)
        if isinstance(found, h5py.Dataset):
            arrays = {str(only): found} if _is_array(found) else {}
        elif isinstance(found, h5py.ExternalLink):
            raise FeatureError(
                f"{path}: '{only}' links into another file, '{found.filename}', which kc does not "
                f"follow. {_COPY}"
            )
        sources = _Sources(h5py, path, real)
        for array in arrays.values():
            sources.judge(real, array)
    return Opened(arrays, tuple(sources.files))


def files_of(path: Path, only: str | None = None) -> list[Path]:
    """List the file itself and the sources of its virtual data sets.

    Raises
    ------
    FeatureError
        As :func:`read_hdf5`.
    """
    return list(read_hdf5(path, only).files)


def _h5py(path: Path) -> Any:
    return import_optional("h5py", f"{path}: reading HDF5", FeatureError, "save the array as .npy")


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except FeatureError:
        raise
    # a damaged file makes h5py raise any error
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise FeatureError(
            f"{path}: not readable as HDF5 ({reason:.300}): damaged, or another format. Fix: "
            "copy or write it again, or save one array with numpy.save."
        ) from error


def _listed(h5py: Any, file: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """List the arrays that numpy can read, and the links into other files."""
    arrays: dict[str, Any] = {}
    links: dict[str, Any] = {}

    def see(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and _is_array(item):
            arrays[name] = item

    def see_link(name: str, link: Any) -> None:
        if isinstance(link, h5py.ExternalLink):
            links[name] = link

    file.visititems(see)
    file.visititems_links(see_link)
    return arrays, links


def _is_array(item: Any) -> bool:
    """Return whether an array has a shape and a type that numpy has, unlike HDF5's times."""
    try:
        np.dtype(item.dtype)
    except TypeError:
        return False
    return item.shape is not None


def _followed(h5py: Any, file: Any, name: str, depth: int = 0) -> Any:
    """Return the object at a path, through soft links; None: there is none, or a circle.

    A link into another file on the way is returned itself.
    """
    found = file
    for part in name.split("/"):
        if part in ("", "."):
            continue
        link = found.get(part, getlink=True) if isinstance(found, h5py.Group) else None
        if isinstance(link, h5py.HardLink):
            found = found[part]
        elif isinstance(link, h5py.SoftLink) and depth < DEPTH:
            inside = "" if link.path.startswith("/") else f"{found.name}/"
            found = _followed(h5py, file, f"{inside}{link.path}", depth + 1)
        else:
            found = link if isinstance(link, h5py.ExternalLink) else None
        if found is None or isinstance(found, h5py.ExternalLink):
            break
    return found


def _chunks_missing(array: Any) -> int:
    """Count the missing chunks of an array; 0 if it is not chunked."""
    if array.chunks is None or not array.size:
        return 0
    whole: int = prod(
        -(-side // part) for side, part in zip(array.shape, array.chunks, strict=True)
    )
    return whole - int(array.id.get_num_chunks())


class _Sources:
    """The files that hold the content of one file's arrays."""

    def __init__(self, h5py: Any, path: Path, real: Path) -> None:
        self.h5py = h5py
        self.path = path
        self.root = real.parent
        self.files: dict[Path, None] = {path: None}
        self._shapes: dict[tuple[Path, str], tuple[int, ...]] = {}

    def judge(self, file: Path, array: Any, depth: int = 0) -> None:
        """Refuse an array with content outside the folder; record the files of the others."""
        if array.external:
            self._refuse(file, array, f"is stored in the file '{array.external[0][0]}'")
        if not array.is_virtual:
            if (missing := _chunks_missing(array)) > 0:
                raise FeatureError(
                    f"{self.path}: '{array.name.strip('/')}' lacks {missing} of its chunks, which "
                    f"would be read as {array.fillvalue}. Fix: write the file again."
                )
            return
        if depth == DEPTH:
            self._refuse(
                file,
                array,
                f"is nested more than {DEPTH} virtual data sets deep, or its own source",
            )
        if os.environ.get(_PREFIX):
            self._refuse(
                file, array, f"is virtual, and {_PREFIX} is set, which changes its sources"
            )
        filled = sum(self._filled(file, array, source, depth) for source in array.virtual_sources())
        if filled < array.size:
            self._refuse(
                file, array, f"is virtual, and {array.size - filled} of its values have no source"
            )

    def _filled(self, file: Path, array: Any, source: Any, depth: int) -> int:
        """Check one source; return the number of values it fills."""
        name, inner = source.file_name, source.dset_name
        if "%" in f"{name}{inner}":
            self._refuse(file, array, f"names its sources by a pattern, '{name}' '{inner}'")
        real = file if name == "." else self._placed(file, array, name)
        if (real, inner) not in self._shapes:
            with self.h5py.File(real, "r") as opened:
                found = self._found(opened, inner)
                if found is None:
                    self._refuse(file, array, f"has a source, '{name}', without an array '{inner}'")
                self.judge(real, found, depth + 1)
                self._shapes[real, inner] = found.shape
        return self._selected(file, array, source, self._shapes[real, inner])

    def _placed(self, file: Path, array: Any, name: str) -> Path:
        """Find a source as HDF5 does: at its path, or else in the folder of the file."""
        given = Path(name)
        if given.is_absolute() and not given.exists():
            given = Path(given.name)
        real = (file.parent / given).resolve()
        if not real.is_relative_to(self.root):
            self._refuse(file, array, f"has a source outside {self.root}, '{name}'")
        if not real.is_file():
            self._refuse(file, array, f"has a source that is missing, '{name}'")
        if not self.h5py.is_hdf5(real):
            self._refuse(file, array, f"has a source that is not HDF5, '{name}'")
        self.files[real] = None
        return real

    def _found(self, opened: Any, name: str) -> Any:
        """Return an array by its path; None if the path contains a soft or external link."""
        found: Any = opened
        for part in filter(None, name.split("/")):
            link = found.get(part, getlink=True) if isinstance(found, self.h5py.Group) else None
            if not isinstance(link, self.h5py.HardLink):
                return None
            found = found[part]
        return found if isinstance(found, self.h5py.Dataset) else None

    def _selected(self, file: Path, array: Any, source: Any, shape: tuple[int, ...]) -> int:
        """Return the number of values a source fills; refuse a source that has fewer."""
        try:
            count = int(source.vspace.get_select_npoints())
        except RuntimeError:
            self._refuse(file, array, f"has an unlimited source, '{source.file_name}'")
        if source.src_space.get_select_type() == self.h5py.h5s.SEL_ALL:
            enough = int(np.prod(shape)) == count
        else:
            _, last = source.src_space.get_select_bounds()
            enough = len(last) == len(shape) and all(
                a < b for a, b in zip(last, shape, strict=True)
            )
        if not enough:
            self._refuse(
                file, array, f"has a source that is too short, '{source.file_name}': {shape}"
            )
        return count

    def _refuse(self, file: Path, array: Any, fault: str) -> NoReturn:
        inside = "" if file == self.path.resolve() else f"{file.name}, "
        raise FeatureError(
            f"{self.path}: {inside}'{array.name.strip('/')}' {fault}; refused. "
            f"{_COPY}, or keep all files of a virtual data set in one folder."
        )
