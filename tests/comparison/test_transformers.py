"""Transformers compared with convolutional networks: class token and grid."""

import pytest
import torch

from kc.comparison import CompareSettings, compare, layers_of
from kc.comparison.networks import OwnNetwork
from kc.errors import FeatureError
from kc.settings.feature_maps import Activations
from kc.settings.reconstruction import Consistency, Optimiser
from kc.store import open_store
from tests.comparison.noise import write
from tests.comparison.transformers import Reading, Small, tiny_vit

SETTINGS = CompareSettings(
    size=32,
    activations=Activations(shard_rows=64, batch_size=32, dtype="float32"),
    consistency=Consistency(kernel_size=1, optimiser=Optimiser(epochs=2)),
)
ADDED = "encoder.layers.encoder_layer_1.add_1"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write(tmp_path_factory.mktemp("photos"), *(f"{k:03d}.png" for k in range(120)), size=32)


def other(**about):
    return SETTINGS.model_copy(update=about)


def held_out(found):
    test = found.shares[found.shares["subset"] == "test"]
    return dict(zip(test["target"], test["xdelta"], strict=True))


def test_tokens_on_their_grid_are_a_linear_map_of_the_other_networks(photos, tmp_path):
    """The tokens are W conv, so the map gives all of them, but not independent noise."""
    found = compare(Small(), Reading(), "conv", "cat", photos, tmp_path / "same", SETTINGS)
    assert held_out(found)["b"] < 0.001
    assert "b: 16 tokens of patches, without the first 1, laid on their grid of 4 x 4" in " ".join(
        found.notes
    )
    assert found.provenance["networks"]["b"]["form"] == "grid"
    noisy = compare(Small(), Reading(3.0), "conv", "cat", photos, tmp_path / "noisy", SETTINGS)
    assert held_out(noisy)["b"] > 0.3
    # a mean over positions is linear too
    pooled = other(align="pool")
    found = compare(Small(), Reading(), "conv", "cat", photos, tmp_path / "pooled", pooled)
    assert held_out(found)["b"] < 0.001
    assert found.components == {}


def test_the_grid_is_not_transposed(photos, tmp_path):
    """With rows and columns exchanged, maps and tokens would share only the diagonal."""
    first, second = Small(), Reading()
    found = compare(first, second, "conv", "cat", photos, tmp_path / "out", SETTINGS)
    stores = [open_store(tmp_path / "out" / "activations" / f"{x}.zarr") for x in "ab"]
    conv = torch.from_numpy(stores[0]["conv"][:])
    wanted = second.read(conv.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    assert torch.allclose(torch.from_numpy(stores[1]["cat@grid"][:]), wanted, atol=1e-5)
    assert found.shares["images"].tolist() == [48, 72, 48, 72]


@pytest.mark.long
def test_tokens_of_a_vision_transformer_with_and_without_the_class_token(photos, tmp_path):
    vit = OwnNetwork("tiny vit", tiny_vit())
    listed = dict(layers_of(vit, 32))
    assert listed[ADDED] == (17, 12)
    shapes = {}
    for tokens in ("all", "patches", "class"):
        out = tmp_path / tokens
        found = compare(vit, vit, ADDED, ADDED, photos, out, other(tokens=tokens))
        assert max(held_out(found).values()) < 0.001, tokens
        store = open_store(out / "activations" / "a.zarr")
        shapes[tokens] = store[store.names[0]].shape[1:]
    assert shapes == {"all": (17, 12), "patches": (16, 12), "class": (12,)}


@pytest.mark.long
def test_a_convolutional_network_is_compared_with_a_transformer(photos, tmp_path):
    """Untrained, they share little; notes describe the form; options change it."""
    vit = tiny_vit()
    grid = compare(Small(7), vit, "conv", ADDED, photos, tmp_path / "grid", SETTINGS)
    assert set(grid.components) == {"b-from-a", "a-from-b"}
    pool = compare(Small(7), vit, "conv", ADDED, photos, tmp_path / "pool", other(align="pool"))
    assert "mean over all 17 tokens" in " ".join(pool.notes)
    assert held_out(grid) != held_out(pool)
    for found in (grid, pool):
        assert min(held_out(found).values()) > 0.01


def test_a_missing_class_token_is_refused(photos, tmp_path):
    vit = tiny_vit()
    with pytest.raises(FeatureError, match=r"'permute': 16 tokens, none of them a class token"):
        compare(vit, vit, "permute", "permute", photos, tmp_path / "out", other(tokens="class"))


def test_timm_transformers_state_how_many_tokens_come_first(photos, tmp_path):
    pytest.importorskip("timm", reason="timm is not installed (kc's extra 'timm')")
    import timm

    model = timm.create_model(
        "vit_tiny_patch16_224", pretrained=False, img_size=32, patch_size=8, depth=2, reg_tokens=4
    )
    nodes = [name for name, shape in layers_of(OwnNetwork("vit", model), 32) if shape == (21, 192)]
    found = compare(Small(), model, "conv", nodes[-1], photos, tmp_path / "out", SETTINGS)
    assert "16 tokens of patches, without the first 5" in " ".join(found.notes)
