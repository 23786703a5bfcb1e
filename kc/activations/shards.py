"""Record features of stored pictures, shard by shard: the loop of all recordings."""

import logging
from collections.abc import Callable, Mapping

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from kc.images.pixels import normalise
from kc.names import FEATURE_DIMS, IMAGENET_MEAN, IMAGENET_STD
from kc.networks.tap import Extract, look
from kc.progress import progress_bar
from kc.settings.sections import Colours
from kc.store import ArraySpec, StoredArray, StoreWriter

LOG = logging.getLogger(__name__)

See = Callable[[UInt8[Tensor, "n 3 y x"], slice], Mapping[str, Tensor]]
"""Maps stored pictures, of some rows, to features ``(n, *shape)``, by name of their array."""


def seen_by(
    extract: Extract,
    device: torch.device,
    mean: Colours = IMAGENET_MEAN,
    std: Colours = IMAGENET_STD,
) -> See:
    """Return a function from stored pictures to the features of ``extract``, on a device."""
    return lambda pixels, _: look(extract, normalise(pixels.to(device), mean, std))


def feature_spec(name: str, shape: tuple[int, ...], rows: int, dtype: str) -> ArraySpec:
    """Describe the array of a layer; ``shape``: of one image's feature."""
    return ArraySpec(
        name, ("image", *FEATURE_DIMS[len(shape)]), (rows, *shape), dtype, statistics=True
    )


def record_missing(writer: StoreWriter, images: StoredArray, see: See, batch: int) -> None:
    """Record every shard that the store does not have yet.

    Each shard is recorded in batches of at most ``batch`` pictures. In memory are the pictures of
    one shard and its features, float32.

    Raises
    ------
    FeatureError
        A value is not finite or too large for its type; the error names the image.
    """
    missing, name = writer.missing(), writer.path.stem
    LOG.info("%s: %d of %d shards to record", name, len(missing), writer.content.shards)
    total = sum(rows.stop - rows.start for rows in map(writer.rows, missing))
    with progress_bar(total=total, desc=f"record {name}", unit="image") as bar:
        for shard in missing:
            rows = writer.rows(shard)
            pictures = torch.from_numpy(images.read(rows))
            values = {
                array: np.empty((len(pictures), *spec.shape[1:]), np.float32)
                for array, spec in writer.arrays.items()
            }
            for start in range(0, len(pictures), batch):
                some = pictures[start : start + batch]
                of = slice(rows.start + start, rows.start + start + len(some))
                for array, feature in see(some, of).items():
                    values[array][start : start + len(some)] = feature.float().cpu().numpy()
                bar.update(len(some))
            writer.write(shard, values)
