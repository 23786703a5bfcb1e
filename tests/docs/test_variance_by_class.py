"""The documented example, run as a user runs it, against numpy."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kc.store import ArraySpec, StoreContent, StoreWriter

ROOT = Path(__file__).parents[2]
COUNT, SHARD = 40, 8


@pytest.mark.parametrize("shape", [(3, 4, 4), pytest.param((5,), marks=pytest.mark.long)])
def test_variance_by_class_is_that_of_numpy(tmp_path, shape):
    dims = ("component", "image", *(("channel", "y", "x") if len(shape) == 3 else ("unit",)))
    values = np.random.default_rng(0).normal(1, 2, (2, COUNT, *shape)).astype(np.float16)
    rows = pd.DataFrame({"image_id": [f"{n}.jpg" for n in range(COUNT)]})
    rows["label"] = np.arange(COUNT) % 3
    spec = ArraySpec("component", dims, values.shape, "float16")
    about = {"component": ["x0", "xdelta"]}
    with StoreWriter(
        tmp_path / "f.zarr", "k", StoreContent([spec], rows, SHARD, attributes=about)
    ) as writer:
        for shard in writer.missing():
            writer.write(shard, {"component": values[:, writer.rows(shard)]})
        writer.finish()
    script = ROOT / "docs" / "examples" / "variance_by_class.py"
    done = subprocess.run(
        [sys.executable, script, tmp_path / "f.json", tmp_path / "by_class.csv"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = pd.read_csv(tmp_path / "by_class.csv", index_col=0)
    delta = values[1].astype(float)
    for label in range(3):
        own = delta[rows["label"] == label]
        axes = (0, 2, 3) if len(shape) == 3 else (0,)
        np.testing.assert_allclose(found[str(label)], own.var(axis=axes), rtol=1e-9)
