"""A recording scattered over jobs equals that of a single job, byte for byte."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from kc.activations import record_networks
from kc.networks import build
from kc.settings.feature_maps import Activations
from kc.settings.recipes import Network
from kc.store import ArraySpec, StoreContent, StoreWriter, open_store
from kc.store.files import read_json
from kc.store.part import WHOLE, Destination, JobPart
from kc.store.product import Product

NODES = ["layer1.1.add", "layer3.1.add"]
ROWS = 22


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Return a function that records a part of a tiny network, and a single job's result."""
    root = tmp_path_factory.mktemp("scatter")
    spec = ArraySpec("image", ("image", "channel", "y", "x"), (ROWS, 3, 32, 32), "uint8")
    rows = pd.DataFrame({"image_id": [f"{i:02d}" for i in range(ROWS)], "label": 0})
    with StoreWriter(root / "images.zarr", "k", StoreContent([spec], rows, ROWS)) as writer:
        pixels = np.random.default_rng(0).integers(0, 255, (ROWS, 3, 32, 32), np.uint8)
        writer.write(0, {"image": pixels})
        writer.finish()
    images, folder, shape = open_store(root / "images.zarr"), root / "network", Network(width=0.125)
    folder.mkdir()
    save_file(build("resnet18", 4, shape, 0).state_dict(), folder / "weights.safetensors")
    card = {"architecture": "resnet18", "classes": 4, "shape": shape.model_dump(mode="json")}
    Product(folder, "k").finish(card, ["weights.safetensors"])
    # batches end inside a shard and at its end
    settings = Activations(shard_rows=5, batch_size=3)

    def record(out, part=WHOLE):
        device = torch.device("cpu")
        target = Destination(out, part=part)
        return record_networks({"n": folder}, NODES, images, settings, target, device)

    return record


def files(folder):
    written = [folder / "n.json", *(folder / "n.zarr").rglob("*")]
    return {path.relative_to(folder): path.read_bytes() for path in written if path.is_file()}


@pytest.mark.parametrize("of", [2, 3, 7])  # of five shards
def test_scattered_jobs_record_the_store_of_a_single_job(tmp_path, monkeypatch, recorded, of):
    single, scattered = tmp_path / "single", tmp_path / "scattered"
    for folder in (single, scattered):
        folder.mkdir()
        monkeypatch.chdir(folder)  # manifests name the path
        if folder is scattered:
            parts = [recorded(Path(), JobPart(n, of)) for n in reversed(range(of))]
            assert not (folder / "n.json").exists()
        whole = recorded(Path())
    assert len(files(single)) > 12
    assert files(scattered) == files(single)
    # the digests of the parts are those of the files
    told = {shard: about for part in parts if part["n"] for shard, about in part["n"].items()}
    assert told == whole["n"]
    shards = read_json(single / "n.json")["arrays"][NODES[0]]["shards"]
    assert [told[str(i)][NODES[0]] for i in range(5)] == [shard["digest"] for shard in shards]
