"""The order of images, which both ways of reading follow bit for bit."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from kc.consistency.data import pair_up
from kc.consistency.fit import fit
from kc.consistency.order import cut, in_sequence, shuffled
from kc.errors import StoreError
from kc.settings.reconstruction import Optimiser
from kc.store import ArraySpec, StoreContent, StoreWriter, open_store

ROWS = np.flatnonzero(np.arange(100) % 3 != 1)
FAST = Optimiser(epochs=2, batch_size=16)


def write_layer(path, values, ids=None, shard=16):
    ids = np.array([f"image{i:03d}" for i in range(len(values))]) if ids is None else ids
    rows = pd.DataFrame({"image_id": ids, "subset": ["train"] * len(ids)})
    dims = ("image", "channel", "y", "x")
    spec = ArraySpec("layer", dims, values.shape, str(values.dtype), statistics=True)
    with StoreWriter(path, "key", StoreContent([spec], rows, shard)) as writer:
        for number in writer.missing():
            writer.write(number, {"layer": values[writer.rows(number)]})
        writer.finish()
    return open_store(path)["layer"]


@pytest.fixture
def features():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 3, 4, 4)).astype(np.float16)
    return x, (2 * x + rng.normal(size=x.shape)).astype(np.float16)


def test_every_row_comes_once_and_batches_are_even():
    order = shuffled(ROWS, 16, seed=0, epoch=3, block_rows=10, buffer_blocks=2)
    assert np.array_equal(np.sort(order.rows), ROWS)
    sizes = np.diff(order.edges)
    assert sizes.sum() == len(ROWS)
    assert sizes.max() - sizes.min() <= 1


def test_rows_of_a_buffer_stay_together_and_are_mixed():
    order = shuffled(ROWS, 16, seed=0, epoch=0, block_rows=10, buffer_blocks=2)
    begun = 0
    for buffer in order.buffers:
        members = ROWS[np.isin(ROWS // 10, buffer)]
        taken = order.rows[begun : begun + len(members)]
        begun += len(members)
        assert np.array_equal(np.sort(taken), members)
        assert not np.array_equal(taken, members)
        assert len(set(taken[:7] // 10)) == len(buffer)


def test_order_depends_on_seed_and_epoch_alone():
    def rows(seed, epoch):
        return shuffled(ROWS, 16, seed, epoch, block_rows=10, buffer_blocks=2).rows.tolist()

    assert rows(0, 0) == rows(0, 0)
    assert rows(0, 0) != rows(0, 1)
    assert rows(0, 0) != rows(1, 0)


def test_the_validation_cut_depends_on_the_seed():
    fitted, held = cut(ROWS, seed=0)
    assert np.array_equal(np.sort(np.concatenate([fitted, held])), ROWS)
    assert len(held) == round(0.1 * len(ROWS))
    assert not np.array_equal(held, cut(ROWS, seed=1)[1])


@pytest.mark.parametrize("batch", [1, 7, 16, 200])
@pytest.mark.parametrize("buffer_blocks", [1, 3, 50])
def test_streamed_batches_equal_gathered_ones(features, batch, buffer_blocks):
    pair = pair_up(*features, torch.device("cpu"), block_rows=16)
    streamed = replace(pair, source=features[0], target=features[1], in_memory=False)
    for order in (
        shuffled(ROWS, batch, 0, 0, 16, buffer_blocks),
        in_sequence(ROWS, batch, 16),
    ):
        both = zip(pair.batches(order), streamed.batches(order), strict=True)
        for number, ((x, y), (a, b)) in enumerate(both):
            rows = order.rows[order.edges[number] : order.edges[number + 1]]
            assert torch.equal(x, torch.from_numpy(features[0][rows]).float())
            assert torch.equal(x, a)
            assert torch.equal(y, b)
        assert number == len(order.edges) - 2


def test_streamed_fit_gives_the_same_weights_as_one_in_memory(features, tmp_path):
    x = write_layer(tmp_path / "x.zarr", features[0])
    y = write_layer(tmp_path / "y.zarr", features[1], shard=32)
    more = {"train": ROWS, "optimiser": FAST, "block_rows": 16, "buffer_blocks": 2}
    results = [fit(*features, **more), fit(x, y, **more), fit(x, y, memory_gb=1e-9, **more)]
    assert not pair_up(x, y, torch.device("cpu"), memory_gb=1e-9).in_memory
    for other in results[1:]:
        for one, two in zip(
            results[0].net.state_dict().values(), other.net.state_dict().values(), strict=True
        ):
            assert torch.equal(one, two)
    assert results[0].instability(*features) == results[2].instability(x, y)


def test_case_5_swapped_image_order_in_one_store_is_refused(features, tmp_path):
    ids = np.array([f"image{i:03d}" for i in range(100)])
    x = write_layer(tmp_path / "x.zarr", features[0], ids)
    ids[[3, 4]] = ids[[4, 3]]
    y = write_layer(tmp_path / "y.zarr", features[1], ids)
    with pytest.raises(StoreError, match="image003"):
        fit(x, y)
