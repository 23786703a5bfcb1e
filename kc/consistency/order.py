"""Choose images and their order: training rows, the validation cut, shuffled batches.

The order depends only on (rows, batch, seed, epoch, block_rows, buffer_blocks).
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kc.errors import FeatureError
from kc.runtime import derive_seed

Rows = NDArray[np.int64]
VALIDATION_SHARE = 0.1
"""Share of the training images that g is not fitted on, to tell when to stop."""


class Order(NamedTuple):
    """The order in which images are read."""

    rows: Rows
    """Row of each image, in the order of use."""
    buffers: tuple[tuple[int, ...], ...]
    """Blocks that are in memory together, in the order they are read."""
    edges: Rows
    """Start and end of batches; a batch may span two buffers."""
    block_rows: int


def shuffled(
    rows: Rows, batch: int, seed: int, epoch: int, block_rows: int, buffer_blocks: int
) -> Order:
    """Shuffle blocks, then the rows of each buffer of blocks.

    Batches differ in size by at most one row, so that no image is dropped and no batch is too
    small for a variance.
    """
    rng = np.random.default_rng(derive_seed("order", seed, epoch))
    blocks = rng.permutation(np.unique(rows // block_rows))
    members = {int(block): rows[rows // block_rows == block] for block in blocks}
    buffers, taken = [], []
    for start in range(0, len(blocks), buffer_blocks):
        together = tuple(int(block) for block in blocks[start : start + buffer_blocks])
        buffers.append(together)
        taken.append(rng.permutation(np.concatenate([members[block] for block in together])))
    return Order(np.concatenate(taken), tuple(buffers), _even_edges(len(rows), batch), block_rows)


def in_sequence(rows: Rows, batch: int, block_rows: int) -> Order:
    """Return the order of rows from first to last, one block at a time."""
    rows = np.sort(rows)
    buffers = tuple((int(block),) for block in np.unique(rows // block_rows))
    return Order(rows, buffers, _even_edges(len(rows), batch), block_rows)


def _even_edges(count: int, batch: int) -> Rows:
    batches = max(1, round(count / batch))
    return np.linspace(0, count, batches + 1).round().astype(np.int64)


def rows_of(train: Any, count: int) -> Rows:
    """Turn a mask, an array of indices or None (all) into sorted row numbers."""
    if train is None:
        return np.arange(count, dtype=np.int64)
    chosen = np.asarray(train)
    if chosen.dtype == bool:
        if chosen.shape != (count,):
            raise FeatureError(
                f"train: a mask of shape {chosen.shape} for {count} images; expected ({count},)."
            )
        return np.flatnonzero(chosen).astype(np.int64)
    rows = np.unique(chosen.astype(np.int64))
    if len(rows) and (rows[0] < 0 or rows[-1] >= count):
        raise FeatureError(
            f"train: rows {rows[0]}..{rows[-1]} requested, but images are 0..{count - 1}."
        )
    return rows


def cut(rows: Rows, seed: int) -> tuple[Rows, Rows]:
    """Split training rows at random into rows to fit g on and the validation cut.

    Raises
    ------
    FeatureError
        There are too few images for both.
    """
    held = max(2, round(VALIDATION_SHARE * len(rows)))
    _check_enough(len(rows) - held, held)
    order = np.random.default_rng(derive_seed("validation", seed)).permutation(rows)
    return np.sort(order[held:]), np.sort(order[:held])


def apart(rows: Rows, held: Rows) -> tuple[Rows, Rows]:
    """Split training rows into those that are not held, and a given validation cut.

    Raises
    ------
    FeatureError
        There are too few images for both.
    """
    fitted = np.setdiff1d(rows, held)
    _check_enough(len(fitted), len(held))
    return fitted, held


def _check_enough(fitted: int, held: int) -> None:
    if fitted < 4:
        raise FeatureError(
            f"{fitted + held} training images are too few to fit g: {held} are the validation "
            "cut, and at least 4 must be left. Fix: record more images, or mark more of them as "
            "training."
        )
