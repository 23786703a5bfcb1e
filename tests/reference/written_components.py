"""Write component and image stores as the stages do, with given content."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from kc.names import component_names
from kc.plans.products import FitPlan
from kc.report.viewer import View
from kc.store import ArraySpec, StoreContent, StoreWriter

SIZE = 12
"""Side of a picture in px."""


def names(count: int) -> list[str]:
    return [f"class/bird {number:02d}.jpg" for number in range(count)]


def colour(image_id: str) -> np.ndarray:
    """Return one colour for each picture, known from its id."""
    number = int(image_id.split()[1][:2])
    return np.array([10 * number % 256, 255 - 10 * number % 256, 7 * number % 256], dtype=np.uint8)


def write_images(dataset: str, results: Path, ids: Sequence[str]) -> None:
    pixels = np.stack([np.broadcast_to(colour(i)[:, None, None], (3, SIZE, SIZE)) for i in ids])
    spec = ArraySpec("image", ("image", "channel", "y", "x"), pixels.shape, "uint8")
    path = results / "images" / f"{dataset}.zarr"
    write_store(path, spec, pixels, ids, ["test"] * len(ids), {})


def write_components(
    fit: FitPlan,
    results: Path,
    values: np.ndarray,
    ids: Sequence[str],
    subsets: Sequence[str] | None = None,
) -> None:
    """Write x(0)..x(K), xdelta; ``values`` is (component, image, channel, y, x)."""
    dims = ("component", "image", "channel", "y", "x")
    spec = ArraySpec("component", dims, values.shape, "float16")
    path = results / "components" / f"{fit.name}.zarr"
    named = {"component": component_names(len(values) - 2)}
    write_store(path, spec, values, ids, subsets or ["test"] * len(ids), named)


def noise(images: int, channels: int = 6, seed: int = 0) -> np.ndarray:
    """Return three orders and xdelta without structure."""
    shape = (4, images, channels, 3, 3)
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float16)


def written_view(
    folder: Path,
    values: np.ndarray | None = None,
    subsets: Sequence[str] | None = None,
    dims: tuple[str, ...] = ("component", "image", "channel", "y", "x"),
    ids: Sequence[str] | None = None,
    name: str = "a-from-b",
) -> View:
    """Write a fit's components and pictures; the pictures' rows are in another order."""
    values = noise(12) if values is None else values
    ids = names(values.shape[1]) if ids is None else ids
    components, images = folder / "components" / f"{name}.zarr", folder / f"{name}-pictures.zarr"
    spec = ArraySpec("component", dims, values.shape, "float16")
    named = {"component": component_names(len(values) - 2)}
    write_store(components, spec, values, ids, subsets or ["test"] * len(ids), named)
    turned = ids[::-1]
    pixels = np.stack([np.broadcast_to(colour(i)[:, None, None], (3, SIZE, SIZE)) for i in turned])
    spec = ArraySpec("image", ("image", "channel", "y", "x"), pixels.shape, "uint8")
    write_store(images, spec, pixels, turned, ["test"] * len(ids), {})
    return View("b to a", name.removeprefix("a-from-b-"), components, images, "About.")


def write_store(
    path: Path,
    spec: ArraySpec,
    values: np.ndarray,
    ids: Sequence[str],
    subsets: Sequence[str],
    attributes: dict[str, list[str]],
) -> None:
    """Write one array of a store, in shards of 4 images."""
    rows = pd.DataFrame({"image_id": list(ids), "subset": list(subsets)})
    path.parent.mkdir(parents=True, exist_ok=True)
    with StoreWriter(path, "key", StoreContent([spec], rows, 4, attributes=attributes)) as writer:
        for shard in writer.missing():
            part = (slice(None),) * spec.row_axis + (writer.rows(shard),)
            writer.write(shard, {spec.name: np.ascontiguousarray(values[part])})
        writer.finish()
