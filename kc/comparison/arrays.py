"""Features made outside kc, in files of many kinds; of images or of anything else."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from kc.comparison.bounds import check_promise
from kc.comparison.choice import TENSORS, chosen_arrays
from kc.comparison.columns import read_columns
from kc.comparison.forms import OwnLayer, channels_first, is_channels_last
from kc.comparison.ids import read_ids
from kc.comparison.kinds import READ, refuse_kind, renamed
from kc.comparison.npz import read_npz
from kc.comparison.record import WantedForms, formed, specs_of
from kc.comparison.settings import CompareSettings
from kc.comparison.tensor_files import read_tensor_file
from kc.datasets.hdf5 import read_hdf5
from kc.errors import FeatureError, KCError
from kc.files.sources import FOLDER, Source
from kc.names import Shape
from kc.plans.commands import AGAIN
from kc.progress import progress_bar
from kc.provenance import product_key
from kc.settings.custom import FEATURES, TABLES, IdsPlace, MapLayout, ids_place
from kc.store import Store, StoreContent, StoredArray, StoreWriter, open_store
from kc.store.files import CHECKSUM
from kc.store.foreign import chunks_missing, open_foreign


@dataclass(frozen=True)
class OwnArrays:
    """Features by name; each row is an image, a sentence, a sound, ..., in any order."""

    name: str
    arrays: Mapping[str, Any]
    """Each (n, d), (n, t, d) or (n, c, h, w), of one n."""
    path: Path
    ids: np.ndarray | None = None
    """The id of each row; None: its number."""
    subsets: np.ndarray | None = None
    """``train`` or ``test`` for each row; None: to be drawn at random."""
    files: tuple[Path, ...] = ()
    """All files that hold the content; none: ``path`` alone."""
    ids_file: Path | None = None
    layout: MapLayout = "auto"
    """How maps are read: ``nhwc`` is (y, x, channels); ``auto`` refuses what looks like it."""

    def __len__(self) -> int:
        return int(next(iter(self.arrays.values())).shape[0])

    @property
    def inputs(self) -> tuple[Path, ...]:
        """List the files the features were read from."""
        return (self.path, *self.files, *([] if self.ids_file is None else [self.ids_file]))

    @property
    def layers(self) -> dict[str, OwnLayer]:
        """Return the shape of each array, by name."""
        return {name: self._layer(name, tuple(v.shape[1:])) for name, v in self.arrays.items()}

    def _layer(self, name: str, shape: Shape) -> OwnLayer:
        if self.layout == "nhwc" and len(shape) == 3:
            return OwnLayer(name, (shape[2], shape[0], shape[1]), read="nhwc")
        is_unclear = self.layout == "auto" and is_channels_last(shape)
        return OwnLayer(name, shape, read="unclear" if is_unclear else "nchw")


def read_arrays(spec: str, ids: Path | str | None = None) -> OwnArrays:
    """Open features: ``FILE.npy``; or, also with ``:NAME``, a file that holds several arrays.

    These are ``FILE.npz``, ``FILE.zarr``, ``FILE.h5``, ``FILE.pt`` and ``FILE.safetensors``; of a
    table, ``FILE.parquet`` or ``FILE.csv``, the columns of numbers are the units of one array.

    Parameters
    ----------
    spec
        Without ``:NAME``: all arrays of the file. A store of kc also holds its ids and which
        images are test images.
    ids
        A text file with one id on each line, in the order of the rows; ``FILE.csv:COLUMN`` or
        ``FILE.parquet:COLUMN``; or ``:COLUMN`` of the features' own table, then no feature.

    Raises
    ------
    FeatureError
        The file, array or column does not exist, is not numeric with two to four dimensions, or
        holds weights; the numbers of rows or ids differ; a table lacks a value, or has a column of
        whole numbers that seems to be an index; h5py or pyarrow is missing.
    StoreError
        A zarr cannot be read, or a store of kc is damaged.
    """
    parsed = FEATURES.fullmatch(spec)
    if parsed is None and Path(spec).exists():
        refuse_kind(Path(spec))
    if parsed is None:
        raise FeatureError(f"{spec}: no such file; expected {READ}")
    path, only = Path(parsed["path"]), parsed["only"]
    if not path.exists():
        raise FeatureError(f"{path}: no such file; expected {READ}")
    names, subsets = None, None
    files: tuple[Path, ...] = (path,)
    found: Mapping[str, Any]
    suffix = parsed["suffix"].lower()
    place = None if ids is None else ids_place(ids, spec)
    if suffix == ".npy":
        found = _from_npy(path)
    elif suffix == ".npz":
        found = read_npz(path)
    elif suffix == ".zarr" and _is_kcs(path):
        store = open_store(path)
        found = {name: store[name] for name in store.names}
        names = store.image_ids
        subsets = store.rows["subset"].to_numpy(object) if "subset" in store.rows else None
    elif suffix == ".zarr":
        found = open_foreign(path)
    elif suffix in TENSORS:
        found = read_tensor_file(path, only)
    elif suffix in TABLES:
        is_own = place is not None and place.path.exists() and path.samefile(place.path)
        found = read_columns(path, only, place.column if is_own and place else None)
    else:
        found, files = read_hdf5(path, only)
    chosen = chosen_arrays(path, found, only)
    if names is None:  # a store of kc has names, and may lie in a bucket
        check_promise(path, chosen, files)
        _refuse_holes(path, chosen)
    arrays = OwnArrays(path.name, chosen, path, names, subsets, files)
    return arrays if place is None else _with_ids(arrays, place)


def _is_kcs(path: Path) -> bool:
    """Return whether a path is a store of kc, by the manifest next to it."""
    manifest = path.with_suffix(".json")
    if path.suffix != ".zarr" or not manifest.is_file():
        return False
    text = manifest.read_text(encoding="utf-8", errors="replace")
    # either key is enough: a damaged manifest is still kc's, and open_store refuses it
    return '"shard_rows"' in text or f'"{CHECKSUM}"' in text


def _from_npy(path: Path) -> dict[str, Any]:
    try:
        # numpy.load would also open an .npz of this name
        return {path.stem: np.lib.format.open_memmap(path, mode="r")}
    # a broken file can make numpy raise anything
    except Exception as error:
        raise FeatureError(
            f"{path}: not readable as .npy ({type(error).__name__}: {error!s:.300}). Damaged, or "
            "it holds Python objects, which kc refuses to run. Fix: numpy.save of one array of "
            f"numbers{renamed(path)}."
        ) from error


def _refuse_holes(path: Path, arrays: Mapping[str, Any]) -> None:
    for name, array in arrays.items():
        missing, of = chunks_missing(array)
        if missing:
            raise FeatureError(
                f"{path}: {missing} of {of} chunks of '{name}' are not there, and would be read as "
                f"{array.fill_value}. Fix: copy the store again; if all values there are "
                f"{array.fill_value}, write it with zarr's config write_empty_chunks: true."
            )


def _with_ids(arrays: OwnArrays, place: IdsPlace) -> OwnArrays:
    ids = read_ids(*place)
    if len(ids) != len(arrays):
        is_whole = place.column is None and place.path.suffix.lower() in TABLES
        raise FeatureError(
            f"{place.path}: {len(ids)} ids for the {len(arrays)} rows of {arrays.path}; expected "
            "one for each row. Fix: correct --ids, or write it from the same list as the features"
            f"{f'; a column of a table is named {place.path}:COLUMN' if is_whole else ''}."
        )
    return replace(arrays, ids=ids, ids_file=place.path)


def import_arrays(
    arrays: OwnArrays,
    wanted: WantedForms,
    rows: pd.DataFrame,
    order: np.ndarray,
    settings: CompareSettings,
    out: Path,
) -> Store:
    """Write features to a store, in the order of ``rows``, or resume writing it.

    ``order``: for each row of the store, its row in the file. float16 stays float16, all other
    types become float32. Arrays up to ``consistency.memory_gb`` are read at once.

    Raises
    ------
    FeatureError
        A value is not finite; the error names the row.
    """
    layers = {name: arrays.layers[name] for name in wanted}
    halves = all(np.dtype(arrays.arrays[name].dtype) == np.float16 for name in layers)
    about = {
        "activations": settings.activations.model_dump(mode="json", exclude={"batch_size"}),
        "wanted": {name: [form.suffix for form in forms] for name, forms in wanted.items()},
        "read": {name: layer.read for name, layer in layers.items()},
        "rows": [list(map(str, column)) for column in (rows["image_id"], rows["subset"], order)],
    }
    source = Source.of(*_files(arrays), records=out.parent.parent / FOLDER)
    key = product_key(about, {"file": source.digest}, "kc.comparison.arrays")
    shapes = {name: layer.shape for name, layer in layers.items()}
    with StoreWriter(
        out,
        key,
        StoreContent(
            specs_of(shapes, wanted, len(rows), "float16" if halves else "float32"),
            rows,
            settings.activations.shard_rows,
            settings.activations.compressor,
            {"file": arrays.name},
            source=source,
        ),
        mend=AGAIN,
    ) as writer:
        missing = writer.missing()
        with _readable(arrays.path):
            held = _held(arrays, layers, settings.consistency.memory_gb) if missing else {}
        for shard in progress_bar(missing, desc=f"read {out.stem}", unit="shard"):
            with _readable(arrays.path):
                taken = {
                    name: torch.from_numpy(_rows(values, order[writer.rows(shard)]))
                    for name, values in held.items()
                }
            found = formed(channels_first(taken, layers), wanted)
            writer.write(shard, {name: values.numpy() for name, values in found.items()})
        writer.finish()
    return open_store(out)


def _files(arrays: OwnArrays) -> list[Path]:
    """List the files of the features: of a store of kc the manifest, which holds every digest."""
    if _is_kcs(arrays.path):
        return [arrays.path.with_suffix(".json")]
    return [arrays.path, *(file for file in arrays.files if file != arrays.path)]


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what a damaged file makes its reader raise into a FeatureError."""
    try:
        yield
    except KCError:
        raise
    except Exception as error:
        raise FeatureError(
            f"{path}: its numbers cannot be read ({type(error).__name__}: {error}). Damaged, or "
            "too large for this machine. Fix: save the array again."
        ) from error


def _held(arrays: OwnArrays, names: Mapping[str, OwnLayer], memory_gb: float) -> dict[str, Any]:
    found = {}
    for name in names:
        values = arrays.arrays[name]
        small = np.prod(values.shape) * np.dtype(values.dtype).itemsize <= memory_gb * 1e9
        small |= not getattr(values, "by_row", True)
        found[name] = np.asarray(values[:]) if small else values
    return found


def _rows(values: Any, rows: np.ndarray) -> np.ndarray:
    """Read rows in any order, as float32."""
    if isinstance(values, (np.ndarray, StoredArray)):
        return np.asarray(values[rows], np.float32)
    # zarr and HDF5 read only ascending rows
    rising = np.argsort(rows)
    chosen = getattr(values, "oindex", values)[rows[rising]]
    found = np.empty(chosen.shape, np.float32)
    found[rising] = chosen
    return found
