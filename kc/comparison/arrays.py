"""Features made outside kc, in files of numpy, zarr or HDF5; of images or of anything else."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from kc.comparison.bounds import check_promise
from kc.comparison.forms import OwnLayer, channels_first, is_channels_last
from kc.comparison.ids import read_ids
from kc.comparison.kinds import READ, refuse_kind, renamed
from kc.comparison.npz import ZippedArray, read_npz
from kc.comparison.record import WantedForms, formed, specs_of
from kc.comparison.settings import CompareSettings
from kc.datasets.hdf5 import read_hdf5
from kc.errors import FeatureError, KCError
from kc.files.sources import FOLDER, Source
from kc.names import Shape
from kc.plans.commands import AGAIN, quoted
from kc.provenance import product_key
from kc.settings.custom import FEATURES, MapLayout
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


def read_arrays(spec: str, ids: Path | None = None) -> OwnArrays:
    """Open features: ``FILE.npy``; ``FILE.npz``, ``FILE.zarr``, ``FILE.h5``, also with ``:NAME``.

    Parameters
    ----------
    spec
        Without ``:NAME``: all arrays of the file. A store of kc also holds its ids and which
        images are test images.
    ids
        A text file with one id on each line, in the order of the rows.

    Raises
    ------
    FeatureError
        The file or array does not exist, is not numeric with two to four dimensions, the numbers of
        rows or ids differ, or h5py is missing.
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
    else:
        found, files = read_hdf5(path, only)
    chosen = _chosen(path, found, only)
    if names is None:  # a store of kc has names, and may lie in a bucket
        check_promise(path, chosen, files)
        _refuse_holes(path, chosen)
    arrays = OwnArrays(path.name, chosen, path, names, subsets, files)
    return arrays if ids is None else _with_ids(arrays, ids)


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


def _chosen(path: Path, found: Mapping[str, Any], only: str | None) -> dict[str, Any]:
    """Return the requested array, or all arrays that could be features."""
    if only is not None:
        if only not in found:
            raise FeatureError(
                f"{path}: no array '{only}' in it; there are {', '.join([*found][:9]) or 'none'}. "
                "Fix: name one of these."
            )
        if not _is_feature(found[only]):
            raise FeatureError(_what(f"{path}:{only}", found[only]))
        found = {only: found[only]}
    features = {name: value for name, value in sorted(found.items()) if _is_feature(value)}
    kept: dict[str, Any] = {}
    for name, value in features.items():
        dotted = name.strip("/").replace("/", ".")
        if dotted in kept:
            raise FeatureError(
                f"{path}: two of its arrays would be called '{dotted}', one of them '{name}'. "
                f"Fix: name one, {quoted(f'{path}:{name}')}, or rename it."
            )
        kept[dotted] = value
    if not kept:
        told = " ".join(_what(name, value) for name, value in [*found.items()][:3])
        raise FeatureError(
            f"{path}: no features in it. {told or 'It holds no array. Fix: save one there.'}"
        )
    counts = {name: int(value.shape[0]) for name, value in kept.items()}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise FeatureError(
            f"{path}: its arrays have different numbers of rows ({told}). Fix: name one, "
            f"such as {quoted(f'{path}:{next(iter(kept))}')}"
        )
    return kept


def _refuse_holes(path: Path, arrays: Mapping[str, Any]) -> None:
    for name, array in arrays.items():
        missing, of = chunks_missing(array)
        if missing:
            raise FeatureError(
                f"{path}: {missing} of {of} chunks of '{name}' are not there, and would be read as "
                f"{array.fill_value}. Fix: copy the store again; if all values there are "
                f"{array.fill_value}, write it with zarr's config write_empty_chunks: true."
            )


def _is_feature(array: Any) -> bool:
    return (
        np.dtype(array.dtype).kind in "fiu"
        and len(array.shape) in (2, 3, 4)
        and 0 not in array.shape[1:]
    )


def _what(name: str, array: Any) -> str:
    return (
        f"'{name}' is {np.dtype(array.dtype)} of shape {tuple(array.shape)}; expected numbers, "
        f"(n, units), (n, tokens, units) or (n, channels, y, x). Fix: {_remedy(array)}."
    )


def _remedy(array: Any) -> str:
    kind, axes = np.dtype(array.dtype).kind, len(array.shape)
    if kind == "c":
        return "numpy.concatenate([array.real, array.imag], 1)"
    if kind not in "fiub":
        return "save numbers, one array for each field"
    if axes == 0 or 0 in array.shape[1:]:
        return "save features of at least one unit"
    if axes == 1:
        return "array[:, None], if it is one number a row"
    if axes > 4:
        return "array.reshape(len(array), -1)"
    return "array.astype('float32')"


def _with_ids(arrays: OwnArrays, file: Path) -> OwnArrays:
    ids = read_ids(file)
    if len(ids) != len(arrays):
        raise FeatureError(
            f"{file}: {len(ids)} ids for the {len(arrays)} rows of {arrays.path}; expected one "
            "for each row. Fix: correct --ids, or write it from the same list as the features."
        )
    return replace(arrays, ids=ids, ids_file=file)


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
        for shard in tqdm(missing, desc=f"read {out.stem}", unit="shard", disable=None):
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
        small |= isinstance(values, ZippedArray)  # cannot be read row by row
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
