"""Shares of x^Delta (FVU = 1 - R^2 of the target given g) by class, on test images."""

import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy import stats
from torch import Tensor

from kc.comparison.sides import ComparedRows
from kc.comparison.workplace import Direction, Workplace
from kc.consistency.decompose import decompose, stacked
from kc.consistency.order import Rows
from kc.consistency.saved import load_fit
from kc.consistency.variance import Centring
from kc.errors import ImageError
from kc.images.rows import rows_in
from kc.provenance import product_key
from kc.runtime import derive_seed
from kc.store import StoredArray
from kc.store.files import write_bytes_atomic
from kc.store.product import Product, read_card

DRAWS = 1000
LEVEL = 0.95
IMAGES = "images.csv"


def check_classes(rows: ComparedRows, images: Path | str | None) -> None:
    """Check that the pictures have at least two classes.

    Raises
    ------
    ImageError
        There are no pictures, or all are of one class (or in no class folders).
    """
    if rows.images is None:
        raise ImageError(
            "labels: classes are the folders of pictures, and only features were given. "
            "Fix: add --images, or drop --labels."
        )
    found = sorted(set(rows.table["class_name"]))
    if len(found) < 2:
        raise ImageError(
            f"{images}: --labels asks for pictures in class folders (CLASS/..., or train/CLASS/... "
            f"and test/CLASS/...), two classes or more; found {len(found)} ({', '.join(found)}). "
            "Fix: sort them into folders, or drop --labels."
        )


def shares_by_class(of: Direction, rows: ComparedRows, at: Workplace) -> pd.DataFrame:
    """Return one row for each class of test images, the largest share of x^Delta first.

    Columns: ``class``, ``images``, ``xdelta`` with ``low`` and ``high`` (95 %, the bootstrap over
    the class's images; NaN for one image), ``weight``. ``xdelta``: sum over the class's images of
    the squared deviation of x^Delta from its mean over *all* test images (one mean, or one a
    channel, by the fit's centring), over that of x*; ``weight``: the class's part of the latter
    sum. So the mean of ``xdelta`` weighted by ``weight`` is the share of all test images,
    Var(x^Delta) / Var(x*) [L20, Sec. 4.2]: the fraction of variance unexplained, 1 - R^2.

    ``out/classes/NAME/images.csv`` holds the mean squared deviations of each image.
    """
    images = deviations(of, at)
    images["class"] = rows.table["class_name"].to_numpy()[rows_in(rows.table, "test")]
    whole = images["target"].sum()
    found = []
    for label, members in images.groupby("class"):
        delta, target = members["xdelta"].to_numpy(), members["target"].to_numpy()
        share = delta.sum() / target.sum() if target.sum() > 0 else np.nan
        seed = derive_seed("bootstrap", at.settings.seed, of.name, str(label))
        low, high = _interval(delta, target, seed)
        found.append((label, len(members), share, low, high, target.sum() / whole))
    frame = pd.DataFrame(found, columns=["class", "images", "xdelta", "low", "high", "weight"])
    return frame.sort_values(["xdelta", "class"], ascending=[False, True], ignore_index=True)


def deviations(of: Direction, at: Workplace) -> pd.DataFrame:
    """Return, for each test image, the mean squared deviation of x^Delta and of x*.

    Deviations are from one mean over all test images and units, or from each channel's mean over
    all test images, by the fit's centring. A result with the fit's key is not computed again.
    """
    fitted = at.out / "fits" / of.name
    inputs = {"fit": read_card(fitted)["key"]}
    key = product_key({}, inputs, "kc.comparison.classes")
    with Product(at.out / "classes" / of.name, key, [IMAGES]) as product:
        if not product.is_done():
            begun = time.monotonic()
            product.start()
            rows = rows_in(of.target.rows, "test")
            result = load_fit(fitted, at.device)
            moments = []
            for x, y in of.pair(at).in_order(rows):
                parts = stacked(decompose(result.net, result.normalisation, x, y), y)[-2:]
                moments.append(_moments(parts, result.net.channel_axis, result.about.centring))
            frame = _frame(moments, of.target, rows)
            write_bytes_atomic(
                product.folder / IMAGES, frame.to_csv(index=False).encode(errors="backslashreplace")
            )
            seconds = round(time.monotonic() - begun, 2)
            product.finish({"seconds": seconds, "device": str(at.device)}, [IMAGES])
    # a carriage return in an id does not end a row
    return pd.read_csv(product.folder / IMAGES, lineterminator="\n")


def _moments(parts: Tensor, channel_axis: int, centring: Centring) -> tuple[Tensor, Tensor]:
    """Return the means and the mean square of each part and image.

    The means are (parts, n, c), one for each channel or c = 1; the mean squares (parts, n).
    """
    values = parts.double()
    square = values.flatten(2).square().mean(2).cpu()
    axis = 2 if channel_axis == 1 else values.ndim - 1
    means = values.movedim(axis, 2).flatten(3).mean(3) if values.ndim > 3 else values
    return (means if centring == "channel" else means.mean(2, keepdim=True)).cpu(), square


def _frame(moments: list[tuple[Tensor, Tensor]], target: StoredArray, rows: Rows) -> pd.DataFrame:
    mean, square = (torch.cat(blocks, dim=1) for blocks in zip(*moments, strict=True))
    overall = mean.mean(1, keepdim=True)
    deviations = square + (overall * (overall - 2 * mean)).mean(2)
    columns = dict(zip(("xdelta", "target"), deviations.numpy(), strict=True))
    ids = target.rows["image_id"].to_numpy()[rows]
    return pd.DataFrame({"image_id": ids} | columns)


def _interval(delta: np.ndarray, of: np.ndarray, seed: int) -> tuple[float, float]:
    if len(of) < 2 or not of.all():
        return np.nan, np.nan
    found = stats.bootstrap(
        (delta, of),
        lambda delta, of, axis: delta.sum(axis) / of.sum(axis),
        paired=True,
        n_resamples=DRAWS,
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return tuple(found.confidence_interval)
