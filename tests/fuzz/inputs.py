"""Random inputs of ``kc compare``, good and bad: features, networks, weights, pictures, options.

A case depends on its number alone, so ``python -m tests.fuzz.run --first N --count 1`` repeats it.
"""

import io
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import torch
import zarr
from PIL import Image
from safetensors.torch import save_file

Rng = np.random.Generator

NETWORKS = """
import torch
from torch import nn
from torch.nn import functional as F


class Net(nn.Module):
    def __init__(self, colours=3, width=4):
        super().__init__()
        self.one = nn.Conv2d(colours, width, 3, 2, 1)
        self.norm = nn.BatchNorm2d(width)
        self.head = nn.Linear(width, 5)

    def forward(self, x):
        return self.head(torch.relu(self.norm(self.one(x))).mean((2, 3)))


class Pair(Net):
    def forward(self, x):
        f = torch.relu(self.one(x))
        return {"features": f, "out": (self.head(f.mean((2, 3))), None)}


class InPlace(Net):
    def forward(self, x):
        f = self.one(x)
        f.mul_(2).clamp_(min=0)
        return self.head(f.mean((2, 3)))


class Extra(Net):
    def forward(self, x, mask=None, scale: float = 1.0):
        return super().forward(x if mask is None else x * mask)


class Dropout(Net):
    def forward(self, x):
        return self.head(F.dropout(torch.relu(self.one(x)), 0.5, True).mean((2, 3)))


class Branch(Net):
    def forward(self, x):
        return super().forward(-x if x.sum() > 0 else x)


class Last(Net):
    def forward(self, x):
        return self.head(torch.relu(self.one(x)).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Tokens(Net):
    def forward(self, x):
        return self.head(self.one(x).flatten(2).transpose(1, 2))


def plain(): return Net()
def wide(): return Net(width=7)
def pair(): return Pair()
def inplace(): return InPlace()
def extra(): return Extra()
def dropout(): return Dropout()
def branch(): return Branch()
def last(): return Last()
def tokens(): return Tokens()
def half(): return Net().half()
def bfloat16(): return Net().bfloat16()
def double(): return Net().double()
def grey(): return Net(1)
def five(): return Net(5)
def parallel(): return nn.DataParallel(Net())
def training(): return Net().train()
def shared():
    net = Net(); net.again = net.one; return net
def normed():
    net = Net(); net.one = nn.utils.parametrizations.weight_norm(net.one); return net
def meta():
    with torch.device("meta"): return Net()
def lazy():
    net = Net(); net.head = nn.LazyLinear(5); return net
def broken():
    net = Net(); nn.init.constant_(net.one.weight, float("nan")); return net
def none(): return None
def fails(): raise ValueError("no such thing")
def number(): return 3
"""
FUNCTIONS = [
    line.split("(")[0].removeprefix("def ")
    for line in NETWORKS.splitlines()
    if line.startswith("def ")
]
PLAIN = ("plain", "wide", "pair", "inplace", "extra", "shared", "normed", "double", "half")
NAMES = ("a", "b c", "é", "日本", "x'y", 'q"z', "$5_or_$6^", "<b>", "=1+1", "a|b", "#%", "-", ".x")
NAMES += ("line\nend", "\x1b]0;owned\x07", "\u202egnp", "label", "subset", "image_id", "n" * 200)
SUFFIXES = ("png", "jpg", "bmp", "gif", "webp", "tiff")
MODES = ("RGB", "RGB", "RGB", "L", "P", "RGBA", "LA", "1", "CMYK", "I;16")
CHOICES: dict[str, Sequence[Any]] = {
    "order": (0, 1, 2, 2, 5, -1, "two"),
    "penalty": (0, 0.001, 0.1, -1, "nan", 1e30),
    "centring": ("layer", "channel", "none"),
    "gain": ("free", "sigmoid", "x"),
    "rank": ("auto", "full", 1, 3, 0, 10**6),
    "test-share": (0.2, 0.4, 0.5, 0.9, 0, 1, 2),
    "repeats": (1, 2, 0),
    "tokens": ("all", "patches", "class"),
    "align": ("auto", "pool", "grid"),
    "tap": ("auto", "graph", "hooks", "fx"),
    "layout-a": ("auto", "nchw", "nhwc", "chwn"),
    "dtype": ("float16", "float32", "float64"),
    "seed": (0, 1, 7, -1, 2**40),
    "device": ("cpu", "auto", "cuda", "tpu"),
    "mean": ("0 0 0", "0.5 0.5 0.5", "1", "a b c"),
    "layer-a": ("x", "one", "label", "relu", "head", "nothing", "../x", "a,b", "all"),
}
FLAGS = ("--labels", "--ladder", "--no-ladder", "--layers=all")


class Side(NamedTuple):
    """Input of one side, for checking the numbers."""

    rows: np.ndarray | None = None
    """Features of the user by row; None: damaged, or features of a network."""
    function: str | None = None
    """Network of :data:`NETWORKS`; None if it has a weights file."""


class Case(NamedTuple):
    """One call, and what is known about it."""

    arguments: list[str]
    a: Side
    b: Side
    alike: bool = False
    """Whether a and b are linear maps of each other, without noise."""


def draw(number: int, room: Path) -> Case:
    """Write the files of a case to a folder, and return its call."""
    rng = np.random.default_rng([17, number])
    kind = rng.choice(["features", "features", "networks", "mixed"])
    out = ["--out", str(_odd_out(rng, room))]
    given = [*_options(rng), *out]
    if kind == "features":
        return _features(rng, room, given)
    (room / "nets.py").write_text(NETWORKS)
    images, ids = _pictures(rng, room)
    given += ["--images", str(images), "--size", str(rng.choice([16] * 9 + [33, 33, 1]))]
    names = [str(rng.choice(FUNCTIONS if rng.random() < 0.25 else PLAIN)) for _ in "ab"]
    sides = []
    for letter, name in zip("ab", names, strict=True):
        if kind == "mixed" and letter == "b":
            path = room / "b.npy"
            np.save(path, _values(rng, len(ids), (4,)))
            given += ["--b", str(path)]
            if rng.random() < 0.9:
                given += ["--ids-b", str(_ids(rng, room, ids, "b"))]
            sides.append(Side())
            continue
        given += [f"--{letter}", f"{room / 'nets.py'}:{name}"]
        if not any(word.startswith(f"--layer-{letter}") for word in given):
            given += [f"--layer-{letter}", str(rng.choice(["one"] * 6 + ["head", "relu"]))]
        weighed = rng.random() < 0.3
        if weighed:
            given += [f"--weights-{letter}", str(_weights(rng, room / f"{letter}-weights"))]
        sides.append(Side(function=None if weighed else name))
    return Case(given, sides[0], sides[1])


def _odd_out(rng: Rng, room: Path) -> Path:
    out = room / "out"
    if rng.random() < 0.03:
        out.write_text("a file")
    elif rng.random() < 0.03:
        return room
    return out


def _options(rng: Rng) -> list[str]:
    given = ["--epochs", str(rng.choice([1] * 12 + [2, 2, 0]))]
    if rng.random() < 0.6:
        given.append("--no-ladder")
    for name, values in CHOICES.items():
        if rng.random() < 0.06:
            # mostly good values, since a call that is refused at once tests little else
            good = values[: max(1, len(values) // 2)]
            chosen = good if rng.random() < 0.8 else values
            given += [f"--{name}", *str(chosen[rng.integers(len(chosen))]).split()]
    given += [flag for flag in FLAGS if rng.random() < 0.03]
    return given


def _values(rng: Rng, rows: int, shape: tuple[int, ...]) -> np.ndarray:
    values = rng.standard_normal((rows, *shape))
    values *= 10.0 ** rng.choice([0, 0, 0, -6, 3, 6])
    return values + float(rng.choice([0, 0, 0, 1, 1e4]))


def _shape(rng: Rng) -> tuple[int, ...]:
    side = int(rng.integers(1, 6))
    return {
        "vector": (int(rng.integers(1, 20)),),
        "map": (int(rng.integers(1, 8)), side, side),
        "tokens": (int(rng.integers(1, 6)), int(rng.integers(1, 8))),
    }[str(rng.choice(["vector", "vector", "map", "map", "tokens"]))]


def _features(rng: Rng, room: Path, given: list[str]) -> Case:
    rows, shape = int(rng.choice([30, 60, 60, 120, 120, 120, 3])), _shape(rng)
    a = _values(rng, rows, shape)
    alike = bool(rng.random() < 0.3)
    if alike:
        axis = 1 if len(shape) == 3 else len(shape)
        turn = np.linalg.qr(rng.standard_normal((a.shape[axis],) * 2))[0]
        b = np.moveaxis(np.moveaxis(a, axis, -1) @ turn, -1, axis)
    else:
        b = _values(rng, rows if rng.random() < 0.95 else rows + 1, _shape(rng))
    if rng.random() < 0.1:
        b[int(rng.integers(rows)) % len(b)] = rng.choice([np.nan, np.inf, 0, 1e300])
        alike = False
    if rng.random() < 0.1:
        b[:, 0] = rng.choice([0.0, 5.0, 1e30])
        alike = False
    sides, order = [], None
    if rng.random() < 0.3:
        ids = [str(NAMES[n % len(NAMES)]).replace("\n", "") + str(n) for n in range(rows)]
        order = rng.permutation(rows) if len(b) == rows else np.arange(rows)
        given += ["--ids-a", str(_ids(rng, room, ids, "a"))]
        given += ["--ids-b", str(_ids(rng, room, [ids[n] for n in order], "b"))]
        if len(b) == rows:
            b = b[order]
    for letter, values in zip("ab", (a, b), strict=True):
        spec, whole = _write(rng, room, letter, values)
        given += [f"--{letter}", spec]
        sides.append(Side(rows=whole))
    return Case(given, sides[0], sides[1], alike and all(map(_is_exact, sides)))


def _is_exact(side: Side) -> bool:
    """Return whether the features were written without rounding."""
    dtype = np.dtype("O") if side.rows is None else side.rows.dtype
    return dtype.kind == "f" and dtype.itemsize >= 4


def _write(rng: Rng, room: Path, letter: str, values: np.ndarray) -> tuple[str, np.ndarray | None]:
    """Write features in a random format and type; return their name and their expected values."""
    kinds = ["f4", "f4", "f4", "f8", ">f4", "f2", "i4", "u1", "?", "c8", "S3", "O"]
    with np.errstate(all="ignore"):
        cast = values.astype(str(rng.choice(kinds[: 4 if rng.random() < 0.93 else None])))
    more = ["npz", "NPY", "pt", "pth", "safetensors", "csv", "tsv", "parquet"]
    form = str(rng.choice(["npy"] * 20 + ["h5", "zarr"] * 5 + more))
    # text holds no maps
    form = "parquet" if form in ("csv", "tsv") and cast.ndim > 2 else form
    path = room / f"{letter}.{form}"
    name = str(NAMES[rng.integers(len(NAMES))]) if rng.random() < 0.1 else "x"
    spec = str(path)
    try:
        if form in ("npy", "NPY"):
            with path.open("wb") as file:
                laid = np.asfortranarray(cast) if rng.random() < 0.2 else cast
                np.save(file, laid, allow_pickle=True)
        elif form == "h5":
            with h5py.File(path, "w") as file:
                file.create_dataset(name, data=cast)
        elif form == "zarr":
            group = zarr.open_group(str(path), mode="w", zarr_format=int(rng.choice([2, 3])))
            group.create_array(name, shape=cast.shape, dtype=cast.dtype)[:] = cast
        elif form == "npz":
            np.savez(path, **{name: cast})
        elif form in ("pt", "pth"):
            tensor = torch.from_numpy(cast)
            torch.save(tensor if rng.random() < 0.5 else {name: tensor, "epoch": 1}, path)
        elif form == "safetensors":
            save_file({name: torch.from_numpy(cast)}, path)
        elif form == "parquet" and cast.ndim > 2:
            pd.DataFrame({name: cast.tolist()}).to_parquet(path)
        else:
            columns = [f"u{k}{NAMES[k % len(NAMES)]}" for k in range(cast.shape[1])]
            frame = pd.DataFrame(cast.reshape(len(cast), cast.shape[1]), columns=columns)
            _write_table(frame.assign(words=[f"w{k}" for k in range(len(cast))]), path)
    except (
        ValueError,
        TypeError,
        OSError,
        pa.ArrowException,
    ):  # the format does not support this type or name
        if not path.is_dir():
            path.write_bytes(b"")
        return spec, None
    whole = None if cast.dtype.kind in "SOc" else cast
    if path.is_file() and rng.random() < 0.08:
        _damage(rng, path)
        whole = None
    return spec, whole


def _write_table(frame: pd.DataFrame, path: Path) -> None:
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, sep="\t" if path.suffix == ".tsv" else ",", index=False)


def _ids(rng: Rng, room: Path, ids: list[str], letter: str) -> Path:
    path = room / f"ids-{letter}.txt"
    odd = rng.random()
    if odd < 0.05:
        ids = ids[:-1]
    elif odd < 0.1:
        ids = [*ids[:1], *ids[:-1]]
    encoding = str(rng.choice(["utf-8"] * 8 + ["utf-16", "utf-8-sig"]))
    path.write_bytes("".join(f"{name}\n" for name in ids).encode(encoding, "surrogatepass"))
    return path


def _damage(rng: Rng, path: Path) -> None:
    content = bytearray(path.read_bytes())
    if not content or rng.random() < 0.3:
        path.write_bytes(content[: int(rng.integers(len(content) + 1))])
        return
    for _ in range(int(rng.integers(1, 4))):
        content[int(rng.integers(min(len(content), 400)))] = int(rng.integers(256))
    path.write_bytes(content)


def _weights(rng: Rng, stem: Path) -> Path:
    state = {
        "one.weight": torch.randn(4, 3, 3, 3), "one.bias": torch.randn(4),
        "norm.weight": torch.ones(4), "norm.bias": torch.zeros(4),
        "norm.running_mean": torch.zeros(4), "norm.running_var": torch.ones(4),
        "norm.num_batches_tracked": torch.tensor(1),
        "head.weight": torch.randn(5, 4), "head.bias": torch.randn(5),
    }  # fmt: skip
    changes: Sequence[Callable[[], Any]] = (
        lambda: state,
        lambda: {"state_dict": {f"net.{k}": v for k, v in state.items()}},
        lambda: {f"module.{k}": v for k, v in state.items()} | {"n_averaged": torch.tensor(1)},
        lambda: {k: v for k, v in state.items() if k != "head.bias"},
        lambda: state | {"one.weight": torch.randn(4, 3, 5, 5)},
        lambda: state | {"one.weight": state["one.weight"].to_sparse()},
        lambda: state | {"one.bias": torch.full((4,), float("nan"))},
        lambda: {"model": 3},
        lambda: [1, 2],
        lambda: {},
    )
    made = changes[rng.integers(len(changes))]()
    if rng.random() < 0.3:
        path = stem.with_suffix(".safetensors")
        flat = made if isinstance(made, dict) else {}
        save_file(
            {k: v for k, v in flat.items() if isinstance(v, torch.Tensor) and not v.is_sparse},
            path,
        )
    else:
        path = stem.with_suffix(".pt")
        torch.save(made, path)
    if rng.random() < 0.1:
        _damage(rng, path)
    return path


def _picture(rng: Rng) -> tuple[bytes, str]:
    mode, suffix = str(rng.choice(MODES)), str(rng.choice(SUFFIXES))
    size = (int(rng.integers(2, 40)), int(rng.integers(2, 40)))
    channels = len(Image.new("RGB" if mode in ("P", "1", "I;16") else mode, (1, 1)).getbands())
    pixels = rng.integers(0, 256, (size[1], size[0], channels), dtype=np.uint8)
    base = "RGB" if mode in ("P", "1", "I;16") else mode
    picture = Image.fromarray(pixels[..., 0] if base == "L" else pixels, base)
    if mode == "I;16":
        picture = Image.fromarray(pixels[..., 0].astype("u2") * 257)
    elif mode != base:
        picture = picture.convert(mode)
    held = io.BytesIO()
    try:
        picture.save(held, {"jpg": "jpeg"}.get(suffix, suffix))
    except (OSError, ValueError, KeyError):  # the format does not support this mode
        held = io.BytesIO()
        suffix = "png"
        picture.convert("RGB").save(held, "png")
    return held.getvalue(), suffix


def _pictures(rng: Rng, room: Path) -> tuple[Path, list[str]]:
    """Write a folder or an archive of pictures; return its path and the names of the pictures."""
    classes = [str(name) for name in rng.choice(NAMES, 3, replace=False)]
    layout = rng.choice(["flat", "flat", "classes", "split", "deep"])
    files: dict[str, bytes] = {}
    for n in range(int(rng.choice([30] * 9 + [60, 16, 5, 0]))):
        content, suffix = _picture(rng)
        name = f"{n}.{suffix}"
        if rng.random() < 0.05:
            name = f"{NAMES[rng.integers(len(NAMES))]}{n}.{suffix}".replace("/", "")
        if rng.random() < 0.003:
            content = content[: len(content) // 2]
        around = {
            "flat": "",
            "classes": f"{classes[n % 3]}/",
            "split": f"{['train', 'test', 'valid'][n % 3]}/{classes[n % 2]}/",
            "deep": f"some/where/{classes[n % 3]}/",
        }[str(layout)]
        files[f"{around}{name}"] = content
    if rng.random() < 0.3:
        files["README.txt"] = b"pictures"
    if rng.random() < 0.05:
        files[str(rng.choice([".DS_Store", "odd.png", "x.npy"]))] = rng.bytes(50)
    kind = str(rng.choice(["folder", "folder", "folder", "tar", "tgz", "zip"]))
    ids = [name.removeprefix("some/where/") for name in files if name.endswith(SUFFIXES)]
    if kind == "folder":
        return _folder(room / "pictures", files), ids
    path = room / f"pictures.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(path, "w:gz" if kind == "tgz" else "w") as archive:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    if rng.random() < 0.15:
        _damage(rng, path)
    return path, ids


def _folder(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir()
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    if files and len(files) % 7 == 0:
        (folder / "link.png").symlink_to(folder / next(iter(files)))
    return folder
