"""The estimated share of float16 rounding in a layer's variance equals the true one."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kc.activations.rounding import rounding_share
from kc.store import ArraySpec, StoreContent, StoreWriter, open_store

RNG = np.random.default_rng(0)


def stored(path: Path, values: np.ndarray, dtype: str):
    axes = ("image", "channel", "y", "x")[: values.ndim]
    rows = pd.DataFrame({"image_id": [str(n) for n in range(len(values))]})
    spec = ArraySpec("x", axes, values.shape, dtype)
    with StoreWriter(path, "key", StoreContent([spec], rows, 64)) as writer:
        for shard in writer.missing():
            writer.write(shard, {"x": values[writer.rows(shard)]})
        writer.finish()
    return open_store(path)["x"]


@pytest.mark.parametrize(("mean", "spread"), [(1000.0, 0.4), (30.0, 0.01), (0.0, 1.0)])
@pytest.mark.parametrize("shape", [(200, 5), (200, 4, 3, 3)])
def test_the_estimate_equals_the_variance_lost_by_rounding(
    tmp_path: Path, mean: float, spread: float, shape
):
    values = (mean + spread * RNG.standard_normal(shape)).astype(np.float32)
    lost = (values.astype(np.float16).astype(np.float64) - values).var() / values.var()
    found = rounding_share(stored(tmp_path / "x.zarr", values, "float16"))
    assert found == pytest.approx(lost, rel=0.25)
    assert (found > 1e-3) == (mean > 0)


def test_float32_loses_nothing(tmp_path: Path):
    values = (1000 + RNG.standard_normal((50, 5))).astype(np.float32)
    assert rounding_share(stored(tmp_path / "x.zarr", values, "float32")) == 0


def test_a_constant_has_no_variance_to_lose(tmp_path: Path):
    assert rounding_share(stored(tmp_path / "x.zarr", np.ones((20, 3), np.float16), "float16")) == 0
