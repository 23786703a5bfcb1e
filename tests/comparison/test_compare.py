from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from kc.comparison import CompareSettings, OwnNetwork, compare, read_network
from kc.consistency import fit_product
from kc.consistency.saved import load_fit
from kc.errors import FeatureError, NetworkError
from kc.settings.feature_maps import Activations
from kc.settings.reconstruction import Consistency, Optimiser
from kc.store import StoreWriter, open_store
from tests.comparison.noise import write

ROOT = Path(__file__).parents[2]
SETTINGS = CompareSettings(
    size=16,
    activations=Activations(shard_rows=16, batch_size=8),
    consistency=Consistency(optimiser=Optimiser(epochs=2)),
)


def held_out(found):
    test = found.shares[found.shares["subset"] == "test"]
    return dict(zip(test["target"], test["xdelta"], strict=True))


@pytest.fixture
def many(tmp_path):
    return write(tmp_path / "many", *(f"{k:03d}.png" for k in range(300)))


@pytest.mark.long
def test_a_network_is_reconstructed_from_itself_and_not_from_an_untrained_one(nets, many, tmp_path):
    first, other = (read_network(f"{nets}:tiny", seed=seed) for seed in (0, 1))
    same = compare(first, first, "conv3", "conv3", many, tmp_path / "same", SETTINGS)
    apart = compare(first, other, "conv3", "conv3", many, tmp_path / "apart", SETTINGS)
    assert max(held_out(same).values()) < 0.002
    assert min(held_out(apart).values()) > 0.05
    # parts and cross term sum to 1
    parts = ["x0", "x1", "x2", "xdelta", "cross"]
    np.testing.assert_allclose(apart.shares[parts].sum(axis=1), 1, atol=1e-6)
    assert [tuple(row) for row in apart.shares[["target", "source", "subset", "images"]].to_numpy()
    ] == [("b", "a", "test", 120), ("b", "a", "train", 180), ("a", "b", "test", 120),
          ("a", "b", "train", 180)]  # fmt: skip


def test_the_store_holds_the_layer_of_the_normalised_pictures(nets, photos, tmp_path):
    network = read_network(f"{nets}:tiny")
    settings = SETTINGS.model_copy(update={
        "mean": (0.1, 0.2, 0.3), "std": (0.5, 0.6, 0.7),
        "activations": Activations(dtype="float32", shard_rows=16, batch_size=8),
    })  # fmt: skip
    found = compare(network, network, "conv1", "conv3", photos, tmp_path / "out", settings)
    stored = open_store(tmp_path / "out" / "activations" / "a.zarr")["conv1"]
    pixels = torch.from_numpy(found.images["image"][:]).float() / 255
    seen = (pixels - torch.tensor(settings.mean).view(3, 1, 1)) / torch.tensor(settings.std).view(
        3, 1, 1
    )
    with torch.inference_mode():
        np.testing.assert_allclose(stored[:], network.model.conv1(seen), atol=1e-5)


def test_test_images_are_not_fitted_on(nets, photos, tmp_path):
    a, b = (read_network(f"{nets}:tiny", seed=seed) for seed in (0, 1))
    found = compare(a, b, "conv3", "conv3", photos, tmp_path / "out", SETTINGS)
    result = load_fit(tmp_path / "out" / "fits" / "b-from-a")
    assert (found.images.rows["subset"].iloc[result.train] == "train").all()
    assert len(result.train) == 36


def test_vectors_are_compared_and_have_no_pictures(nets, photos, tmp_path):
    a, b = read_network(f"{nets}:tiny"), read_network(f"{nets}:wide")
    found = compare(a, b, "mean", "mean", photos, tmp_path / "out", SETTINGS)
    assert found.components == {}
    assert list(found.shares["positions_per_weight"]) == [36 / 4] * 2 + [36 / 6] * 2


def test_an_interrupted_run_resumes(nets, photos, tmp_path, monkeypatch):
    a, b = (read_network(f"{nets}:tiny", seed=seed) for seed in (0, 1))
    written, made = [], []
    write_shard, fit = StoreWriter.write, fit_product.fit_pair

    def writing(self, shard, values):
        if "stop" in written:
            raise KeyboardInterrupt
        written.append((self.path.name, shard))
        write_shard(self, shard, values)
        if (self.path.name, shard) == ("b.zarr", 1) and len(made) == 0 and "gone on" not in written:
            written.append("stop")

    def fitting(*arguments, **settings):
        if len(made) == 1 and "second kill" not in made:
            made.append("second kill")
            raise KeyboardInterrupt
        made.append("fit")
        return fit(*arguments, **settings)

    monkeypatch.setattr(StoreWriter, "write", writing)
    monkeypatch.setattr(fit_product, "fit_pair", fitting)

    def run():
        return compare(a, b, "conv3", "conv3", photos, tmp_path / "out", SETTINGS)

    with pytest.raises(KeyboardInterrupt):
        run()
    written[written.index("stop")] = "gone on"
    with pytest.raises(KeyboardInterrupt):
        run()
    found = run()
    assert made == ["fit", "second kill", "fit"]
    shards = [entry for entry in written if entry[0] in ("a.zarr", "b.zarr")]
    assert shards == [(f"{letter}.zarr", shard) for letter in "ab" for shard in range(4)]
    # nothing is made a third time, and the numbers are those of an uninterrupted run
    before = (len(written), len(made))
    pd.testing.assert_frame_equal(run().shares, found.shares)
    assert (len(written), len(made)) == before
    monkeypatch.undo()
    plain = compare(a, b, "conv3", "conv3", photos, tmp_path / "plain", SETTINGS)
    pd.testing.assert_frame_equal(plain.shares, found.shares)


@pytest.mark.long
def test_other_weights_are_recorded_again(nets, photos, tmp_path, monkeypatch):
    networks = [read_network(f"{nets}:tiny", seed=seed) for seed in (0, 1, 2)]
    compare(*networks[:2], "conv3", "conv3", photos, tmp_path / "out", SETTINGS)
    other = compare(networks[0], networks[2], "conv3", "conv3", photos, tmp_path / "out", SETTINGS)
    fresh = compare(
        networks[0], networks[2], "conv3", "conv3", photos, tmp_path / "fresh", SETTINGS
    )
    pd.testing.assert_frame_equal(other.shares, fresh.shares)


def test_a_layer_too_wide_for_the_images_gives_a_warning_with_numbers(nets, photos, many, tmp_path):
    a, b = read_network(f"{nets}:tiny"), read_network(f"{nets}:wide")
    # 36 images of 4 x 4 positions for 4 x 9 and 6 x 9 weights: 16 and 10.7
    found = compare(a, b, "conv3", "conv3", photos, tmp_path / "enough", SETTINGS)
    assert not [note for note in found.notes if note.startswith("Warning: too few")]
    found = compare(a, b, "mean", "mean", photos, tmp_path / "few", SETTINGS)
    warnings = [note for note in found.notes if note.startswith("Warning: too few")]
    share = held_out(found)["a"]
    assert len(warnings) == 2
    assert (
        "From b to a, g has 6 weights for each channel and 36 x 1 positions to fit them on: "
        in (warnings[1])
    )
    assert "6.0 per weight, at least 10 are needed (60 training images)" in warnings[1]
    assert f"the share on test images is too high: {share:.3f}" in warnings[1]


def test_layers_that_g_cannot_map_are_refused(nets, photos, tmp_path):
    a = read_network(f"{nets}:tiny")
    grid = SETTINGS.model_copy(update={"align": "grid"})
    with pytest.raises(FeatureError, match=r"'mean' \(4\) cannot be laid on a grid: exp"):
        compare(a, a, "conv3", "mean", photos, tmp_path / "out", grid)
    assert not (tmp_path / "out").exists()


def test_values_that_are_not_finite_name_the_image(nets, photos, tmp_path):
    a = read_network(f"{nets}:tiny")
    b = read_network(f"{nets}:overflowing")
    with pytest.raises(FeatureError, match=r"'truediv' of image \d\d\.png \(row 0\) is not finite"):
        compare(a, b, "conv3", "truediv", photos, tmp_path / "out", SETTINGS)


def test_a_wrong_layer_is_refused_before_anything_is_recorded(nets, photos, tmp_path):
    a = read_network(f"{nets}:tiny")
    with pytest.raises(NetworkError, match=r"unknown node 'conv33'; nearest: conv3"):
        compare(a, a, "conv3", "conv33", photos, tmp_path / "out", SETTINGS)
    assert not (tmp_path / "out").exists()


def test_python_modules_are_compared(photos, tmp_path):
    modules = [torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3, stride=2)) for _ in range(2)]
    networks = [OwnNetwork(f"mine {k}", module) for k, module in enumerate(modules)]
    found = compare(*networks, "0", "0", photos, tmp_path / "out", SETTINGS)
    assert "a: mine 0, weights: as the module holds them; layer 0 (2 x 7 x 7)." in found.notes


def test_a_penalty_that_is_not_a_number_is_refused():
    with pytest.raises(ValueError, match=r"'raw_equivalent' is for the papers' networks; expected"):
        CompareSettings(consistency=Consistency(penalty="raw_equivalent"))
