"""Refuse a file that is neither a network nor features, and say how to convert it."""

from pathlib import Path
from typing import NoReturn

from kc.errors import FeatureError
from kc.settings.custom import is_features

READ = (
    "FILE.npy, FILE.npz, FILE.zarr, FILE.h5, FILE.pt, FILE.safetensors, FILE.parquet or FILE.csv, "
    "all but the first also with :NAME"
)
"""Files of features; all but the first may hold several arrays."""
_NPY, _HDF5, _PARQUET = b"\x93NUMPY", b"\x89HDF\r\n\x1a\n", b"PAR1"
WEIGHTS_FIX = "name their network here and give the file as --weights-a or -b"
_ARRAYS = {
    (".mat",): "scipy.io.loadmat('PATH')['NAME']",
    (".txt", ".dat"): "numpy.loadtxt('PATH', delimiter=',', ndmin=2)",
    (".pkl", ".pickle", ".joblib"): "pickle.load(open('PATH', 'rb'))",
    (".feather",): "pandas.read_feather('PATH').to_numpy('float32')",
}
"""Python that reads the array in the file PATH, by suffix."""
_MORE = {
    ".mat": "; of version 7.3: h5py.File('PATH')['NAME'][:].T",
    **dict.fromkeys((".pkl", ".pickle", ".joblib"), "; kc runs no pickles, so only if it is yours"),
}
_FIXES = {
    (".th", ".ckpt", ".bin"): f"if it holds weights, {WEIGHTS_FIX}; if tensors of features, rename "
    "it to NEW.pt",
    (".gz", ".bz2", ".xz", ".zst", ".zip", ".tar", ".tgz", ".7z"): "unpack it; pictures may be "
    "packed, and are named with --images",
    (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif"): "pictures are named with "
    "--images",
    (".onnx", ".pb", ".tflite", ".keras"): "save features of it as .npy, or write the network as "
    "a function in Python, path/file.py:function",
    (".py",): "name the function in it that gives the network, PATH:function",
}


def refuse_kind(path: Path) -> NoReturn:
    """Refuse a file or folder that exists where a network or features are expected.

    Raises
    ------
    FeatureError
        The error names the kinds that are read, and how to convert this file.
    """
    if is_features(str(path)):
        raise FeatureError(
            f"{path}: a file of features, where a network is expected. Fix: "
            f"kc.read_arrays({str(path)!r}); if it holds weights, {WEIGHTS_FIX}."
        )
    what = "folder" if path.is_dir() else "file"
    raise FeatureError(
        f"{path}: a {what}, but of no kind that features are read from; expected {READ}. "
        f"Fix: {convert(path)}."
    )


def convert(path: Path) -> str:
    """Return how to read features from a file: by its content if known, else by its name."""
    if path.is_dir():
        if any((path / name).exists() for name in ("zarr.json", ".zarray", ".zgroup")):
            return f"it holds zarr: rename it to {path.name}.zarr"
        return "name a file; a folder of pictures is named with --images"
    if said := renamed(path):
        return said.removeprefix("; ")
    suffix = path.suffix.lower()
    told = next((fix for suffixes, fix in _FIXES.items() if suffix in suffixes), None)
    if told is None:
        array = next((one for some, one in _ARRAYS.items() if suffix in some), "array of numbers")
        told = f"numpy.save('NEW.npy', {array}){_MORE.get(suffix, '')}"
    return told.replace("PATH", str(path)).replace("NEW", path.stem)


def renamed(path: Path) -> str:
    """Return a hint to rename a file whose suffix does not match its content, else ''."""
    start, suffix = _begins(path), path.suffix.lower()
    if start.startswith(_NPY) and suffix != ".npy":
        return f"; it is an array of numpy's: rename it to {path.stem}.npy"
    if start.startswith(_HDF5) and suffix not in (".mat", ".h5", ".hdf5"):
        return f"; it is HDF5: rename it to {path.stem}.h5"
    if start.startswith(_PARQUET) and suffix != ".parquet":
        return f"; it is a Parquet file: rename it to {path.stem}.parquet"
    if start.startswith(b"PK") and suffix in (".npy", ""):
        return f"; it is a zip, as numpy.savez writes: rename it to {path.stem}.npz"
    return ""


def _begins(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(8)
    except OSError:
        return b""
