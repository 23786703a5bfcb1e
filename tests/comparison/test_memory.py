"""Batches are as large as free memory bears; what is stored does not depend on it."""

import numpy as np
import torch

from kc.comparison import CompareSettings, memory, read_network
from kc.comparison.forms import Form
from kc.comparison.layers import tap
from kc.comparison.pictures import build_pictures
from kc.comparison.record import record_layers
from kc.settings.feature_maps import Activations

CPU = torch.device("cpu")


def test_a_batch_takes_a_part_of_what_is_free(monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda _: 4000)
    assert memory.batch_size(128, 100, CPU) == 10
    assert memory.batch_size(8, 100, CPU) == 8
    assert memory.batch_size(128, 10**9, CPU) == 1


def test_free_memory_is_a_number_of_this_machine():
    assert 1e6 < memory.free_bytes(CPU) < 1e14


def test_wider_networks_take_more(nets):
    narrow, wide = (tap(read_network(f"{nets}:{name}"), ["conv3"], 16) for name in ("tiny", "wide"))
    # conv1, relu, conv2, relu, conv3 of 4 channels, at least
    assert narrow.bytes_each >= 4 * (2 * 4 * 8 * 8 + 3 * 4 * 4 * 4)
    assert wide.bytes_each > narrow.bytes_each


def test_little_memory_makes_small_batches_of_the_same_store(nets, photos, tmp_path, monkeypatch):
    settings = CompareSettings(size=16, activations=Activations(shard_rows=32))
    images = build_pictures(photos, tmp_path / "pictures.zarr", settings)
    network = read_network(f"{nets}:tiny")
    sizes = []

    def record(out, free):
        tapped = tap(network, ["conv3"], 16)
        monkeypatch.setattr(memory, "free_bytes", lambda _: free)
        watched = tapped._replace(extract=lambda x: (sizes.append(len(x)), tapped.extract(x))[1])
        return record_layers(watched, {"conv3": [Form()]}, images, settings, tmp_path / out, CPU)

    whole = record("a.zarr", 1e12)["conv3"][:]
    assert sizes == [32, 28]
    sizes.clear()
    small = record("b.zarr", 0)["conv3"][:]
    assert sizes == [1] * 60
    np.testing.assert_allclose(small, whole, atol=2e-3)
    sizes.clear()
    record("a.zarr", 0)  # it lies there; less memory is no reason to make it again
    assert sizes == []
