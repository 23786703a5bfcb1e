"""Write the data of a page's feature viewer: 8-bit maps of some filters and images of each fit.

A page opened from disk may neither fetch a file nor read the pixels of a picture, so maps are
scripts that call ``kcData(name, value)``, loaded on first use; pictures are sprite sheets.
"""

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image

from kc.consistency.variance import Moments
from kc.errors import FeatureError, printable
from kc.images.by_id import pictures_by_id
from kc.images.rows import rows_in
from kc.report.choose import choose_ends, live_channels
from kc.report.data_script import write_script
from kc.store import StoredArray, open_store

LEVELS = 127
"""Values of a map are integers from -LEVELS to LEVELS, in units of its largest over LEVELS."""
BLOCK_BYTES = 2**22
"""Bytes of stored components that are read at a time."""
SCRIPT_BYTES = 2**20
"""Bytes of maps in one script, before base64; at least one whole filter."""
VIEW_BYTES = 2**24
"""Bytes of maps of one view; with large maps, fewer images are shown."""
FEWEST = 8
"""Least number of images shown."""
THUMBNAIL = 128
"""Largest side of a picture in a sprite sheet, px."""
COLUMNS = 10
"""Pictures in a row of a sprite sheet."""


@dataclass(frozen=True)
class View:
    """A fit to view: x* of one layer, split into the components reconstructed from x of another."""

    pair: str
    """The two networks, as named in the page's first menu, e.g. ``resnet20 to resnet44``."""
    layer: str
    """The two layers, as named in its second menu."""
    components: Path
    """Component store (``.zarr`` or ``.json``); its name without suffix is the view's name in links
    and must be unique on the page."""
    images: Path
    """Image store of the images."""
    about: str = ""
    """A sentence on what x, x* and x^Delta are."""
    parts: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """By image, the part of its height and width that maps show; none: all of it."""

    @property
    def name(self) -> str:
        """Name of the view in links and file names."""
        return self.components.stem


class Shown(NamedTuple):
    """How much of each fit the viewer shows."""

    images: int = 50
    """Number of test images: the store's first, which are a random sample."""
    filters: int = 64
    """Number of filters; if there are more, half of them have the largest share of x^Delta, half
    the smallest."""


class _Measured(NamedTuple):
    """Statistics of all test images."""

    images: int
    variances: Float[np.ndarray, "parts c"]
    """Variance of each channel about its own mean: x0 .. xK, xdelta, x*."""
    shares: dict[str, float]
    """Shares of Var(x*) about one global mean, as in the tables, with ``cross``; that of xdelta is
    the fraction of variance unexplained (FVU)."""
    delta_mean: Float[np.ndarray, " c"]


def write_view(view: View, folder: Path, shown: Shown) -> dict[str, Any]:
    """Write the scripts and pictures of a view into ``folder``; return its entry in the index.

    Memory holds one block of components and the maps of the images shown. Vectors are shown as
    maps of one position; tokens as their square grid (without a class token), otherwise as a line.

    Raises
    ------
    FeatureError
        The store holds no test images, or no channel varies.
    StoreError
        A store is missing or damaged, or the pictures are not those of the components.
    """
    store = open_store(view.components)
    array = store["component"]
    names = [str(name) for name in store.attributes["component"]]
    rows = rows_in(store.rows, "test")
    if not len(rows):
        raise FeatureError(f"{view.components}: keeps no test images, so there is nothing to show.")
    found = _measure(array, rows, names)
    live = live_channels(found.variances[-1])
    with np.errstate(invalid="ignore"):
        share = found.variances[-2] / found.variances[-1]
    channels = choose_ends(share, live, shown.filters)
    each = len(channels) * int(np.prod(array.shape)) // (array.shape[1] * len(live))
    looked_at = rows[: min(shown.images, max(FEWEST, VIEW_BYTES // each))]
    maps = _maps_of(array, looked_at, channels)
    levels, largest = quantise(maps)
    scripts = _write_maps(view.name, levels, folder)
    about = store.rows.iloc[looked_at]
    images = _image_names(about)
    said = {"pair": view.pair, "layer": view.layer, "about": view.about}
    entry = {"name": view.name} | {name: printable(text) for name, text in said.items()}
    meta = entry | {
        "components": names,
        "shares": found.shares,
        "counted": found.images,
        "channels": len(live),
        "weak": int((~live).sum()),
        "map": list(maps.shape[3:]),
        "images": [{key: printable(text) for key, text in image.items()} for image in images],
        "sprite": _write_sprite(view, [image["id"] for image in images], folder),
        "filters": _filter_rows(found, channels, largest, maps),
        "scripts": scripts,
    }
    write_script(folder / f"{view.name}.js", view.name, meta)
    return entry | {"xdelta": found.shares["xdelta"]}


def quantise(
    maps: Float[np.ndarray, "filters parts n h w"],
) -> tuple[UInt8[np.ndarray, "filters parts n h w"], Float[np.ndarray, "filters parts"]]:
    """Convert each filter's part to bytes; also return the value of level 127.

    ``(byte - 128) * largest / 127`` differs from the value by at most ``largest / 254``.
    """
    largest = np.abs(maps).max((2, 3, 4))
    unit = np.where(largest > 0, largest, 1)[:, :, None, None, None] / LEVELS
    return (np.rint(maps / unit) + LEVELS + 1).astype(np.uint8), largest


def write_index(entries: Sequence[Mapping[str, Any]], colours: Sequence[int], path: Path) -> None:
    """Write the script that lists the views and the colours of maps (RGB, smallest first)."""
    write_script(path, "views", {"views": list(entries), "colours": list(colours)})


def _measure(array: StoredArray, rows: np.ndarray, names: Sequence[str]) -> _Measured:
    moments = Moments()
    for block in _blocks(array, rows):
        moments.add(torch.from_numpy(np.concatenate([block, block.sum(0, keepdims=True)])), 1)
    whole = float(moments.global_variance[-1])
    if not moments.channel_variance[-1].any():
        raise FeatureError(f"{array.store.path}: no channel of x* varies over the test images.")
    shares = {
        name: float(value) / whole
        for name, value in zip(names, moments.global_variance[:-1], strict=True)
    }
    return _Measured(
        len(rows),
        moments.channel_variance.numpy(),
        shares | {"cross": 1 - sum(shares.values())},
        moments.mean[len(names) - 1].numpy(),
    )


def _blocks(array: StoredArray, rows: np.ndarray) -> Iterator[Float[np.ndarray, "parts n c h w"]]:
    """Read the rows in order, a few at a time; skip the rows between them."""
    each = int(np.prod(array.shape)) // len(array) * array.dtype.itemsize
    step = max(1, BLOCK_BYTES // each)
    for begin in range(0, len(array), step):
        here = rows[(rows >= begin) & (rows < begin + step)]
        if len(here):
            values = array.read(slice(begin, min(begin + step, len(array))))
            yield as_maps(values[:, here - begin].astype(np.float32), array.dims)


def as_maps(
    values: Float[np.ndarray, "parts n ..."], dims: Sequence[str]
) -> Float[np.ndarray, "parts n c h w"]:
    """Arrange features as maps: vectors at one position, tokens on their grid or in a line."""
    if dims[-1] != "unit":
        return values
    if dims[-2] != "token":
        return values[..., None, None]
    tokens = values.shape[2]
    for first in (0, 1):
        side = round((tokens - first) ** 0.5)
        if side > 1 and side**2 == tokens - first:
            grid = values[:, :, first:].reshape(*values.shape[:2], side, side, -1)
            return np.moveaxis(grid, -1, 2)
    return np.moveaxis(values, -1, 2)[:, :, :, None]


def _maps_of(
    array: StoredArray, rows: np.ndarray, channels: np.ndarray
) -> Float[np.ndarray, "filters parts n h w"]:
    blocks = [block[:, :, channels] for block in _blocks(array, rows)]
    return np.moveaxis(np.concatenate(blocks, axis=1), 2, 0)


def _filter_rows(
    found: _Measured, channels: np.ndarray, largest: np.ndarray, maps: np.ndarray
) -> list[dict[str, Any]]:
    """Return for each filter the share of each part and, of x^Delta, of each image.

    An image's share is the mean square of its x^Delta about the filter's mean over Var(x*), so
    that the mean over all test images is the filter's share.
    """
    rows = []
    for place, channel in enumerate(channels):
        whole = found.variances[-1, channel]
        away = np.square(maps[place, -1] - found.delta_mean[channel]).mean((1, 2)) / whole
        rows.append(
            {
                "channel": int(channel),
                "variance": _rounded(float(whole)),
                "shares": [_rounded(v) for v in (found.variances[:-1, channel] / whole).tolist()],
                "largest": [_rounded(v, 9) for v in largest[place].tolist()],
                "images": [_rounded(v) for v in away.tolist()],
            }
        )
    return rows


def _rounded(value: float, digits: int = 4) -> float:
    return float(f"{value:.{digits}g}")


def _image_names(about: Any) -> list[dict[str, str]]:
    classes = about["class_name"] if "class_name" in about else [""] * len(about)
    return [
        {"id": str(image_id), "class": str(name)}
        for image_id, name in zip(about["image_id"], classes, strict=True)
    ]


def _write_maps(name: str, levels: np.ndarray, folder: Path) -> dict[str, Any]:
    """Write filters in order into scripts of about equal size."""
    per = max(1, SCRIPT_BYTES // levels[0].size)
    files = []
    for number, begin in enumerate(range(0, len(levels), per)):
        key = f"{name}~{number}"
        content = levels[begin : begin + per].tobytes()
        write_script(folder / f"{key}.js", key, base64.b64encode(content).decode("ascii"))
        files.append(key)
    return {"keys": files, "filters": per}


def _write_sprite(view: View, ids: Sequence[str], folder: Path) -> dict[str, Any]:
    """Write the pictures into one sheet, named by its digest, so that views share it."""
    pixels = pictures_by_id(view.images, ids, view.parts)
    side = min(THUMBNAIL, pixels.shape[2])
    lines = -(-len(ids) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * side, lines * side))
    for place, one in enumerate(pixels):
        picture = Image.fromarray(np.ascontiguousarray(one.transpose(1, 2, 0)))
        if picture.size != (side, side):
            picture = picture.resize((side, side), Image.Resampling.LANCZOS)
        sheet.paste(picture, (place % COLUMNS * side, place // COLUMNS * side))
    drawn = BytesIO()
    sheet.save(drawn, format="JPEG", quality=90)
    file = f"pictures-{sha256(drawn.getvalue()).hexdigest()[:12]}.jpg"
    (folder / file).write_bytes(drawn.getvalue())
    return {"file": file, "columns": COLUMNS, "lines": lines}
