"""A dropped store: the workflow treats it as present, and makes it again if needed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kc.errors import StoreError
from kc.store import open_store

ROOT = Path(__file__).parents[2]
TINY = """
results: out
datasets: {birds: {size: 32, generated: {classes: 3, images_per_class: 20, canvas: 48}}}
networks: {resnet18: {width: 0.125}}
training: {epochs: 1, batch_size: 8}
activations: {shard_rows: 32}
consistency: {order: 0, optimiser: {epochs: 1}}
compression:
  {architecture: resnet18, layers: [last_conv], seeds: [0], removed: [0.5], retraining: {epochs: 1}}
jobs: network
storage: {drop: [activations]}
"""
NAME = "birds-resnet18-seed0-pruned50"


def snakemake(folder, *arguments):
    (folder / "tiny.yaml").write_text(TINY)
    command = [sys.executable, "-m", "snakemake", f"out/activations/dropped/{NAME}.json"]
    command += ["--cores", "1", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    done = subprocess.run(
        [*command, "--configfile", "tiny.yaml", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=False,
    )
    text = done.stdout + done.stderr
    assert done.returncode == 0, text
    return text


@pytest.mark.long
def test_a_store_is_dropped_after_its_last_use_and_made_again_if_needed(tmp_path):
    snakemake(tmp_path)
    left = sorted(path.name for path in (tmp_path / "out/activations").iterdir())
    assert left == [
        "birds-resnet18-seed0.json",
        "birds-resnet18-seed0.state",
        "birds-resnet18-seed0.zarr",
        "dropped",
    ]
    with pytest.raises(StoreError, match=r"dropped after its last use by fit_.*--cores 1 .*\.json"):
        open_store(tmp_path / f"out/activations/{NAME}.json")
    assert "Nothing to be done" in snakemake(tmp_path)
    planned = snakemake(tmp_path, "-n", "--config", "consistency={penalty: 0.3}")
    for rule in (f"record_{NAME}", "fit_birds-resnet18", f"drop_activations_{NAME}"):
        assert f"rule {rule}" in planned
    assert "rule train_" not in planned
