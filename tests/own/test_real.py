"""Two networks somebody else trained, on photographs: weights and normalisation are right."""

import os
from pathlib import Path

import pytest
import torch

from kc.own import CompareSettings, read_network
from kc.own.forms import Form
from kc.own.layers import tap
from kc.own.pictures import build_pictures
from kc.own.record import record_layers

NETS = Path(__file__).parent / "cifar_resnet.py"
CIFAR = CompareSettings(size=32)
"""They were trained under ImageNet's mean and deviation, the default, not CIFAR's own."""


@pytest.mark.real
@pytest.mark.parametrize("name", ["resnet20", "resnet44"])
def test_cifars_networks_are_as_good_as_they_should_be(tmp_path, name):
    shared = os.environ.get("KC_SHARED")
    if not shared:
        pytest.skip("KC_SHARED is not set: it names the folder of the real pictures")
    folder = Path(shared) / "data" / "cifar10"
    weights = next(folder.glob(f"{name}-*.th"), None)
    if weights is None:
        pytest.skip(f"{folder} holds no {name}")
    images = build_pictures(folder / "cifar10_subset.tgz", tmp_path / "pictures.zarr", CIFAR)
    logits = record_layers(
        tap(read_network(f"{NETS}:{name}", weights), ["linear"], 32), {"linear": [Form()]}, images,
        CIFAR, tmp_path / "logits.zarr", torch.device("cpu"),
    )["linear"]  # fmt: skip
    test = (images.rows["subset"] == "test").to_numpy()
    right = logits[:].argmax(1) == images.rows["label"].to_numpy()
    assert 0.78 < right[test].mean() < 0.84
