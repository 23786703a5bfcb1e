"""Many layers: all pairs in both directions, from one recording, resumable."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from kc.comparison import (
    CompareSettings,
    OwnArrays,
    compare,
    compare_layers,
    estimate,
    read_network,
)
from kc.comparison.drawings import matrix_figure
from kc.comparison.layers import distinct_layers
from kc.comparison.networks import OwnNetwork
from kc.comparison.one_pass import why_not
from kc.comparison.shown import best
from kc.comparison.write_matrix import write_matrix
from kc.consistency import fit_product
from kc.errors import FeatureError, StoreError
from kc.settings.feature_maps import Activations
from kc.settings.reconstruction import Consistency, Optimiser
from kc.similarity.measures import MINIBATCH
from kc.store import StoreWriter

SETTINGS = CompareSettings(
    size=16,
    activations=Activations(shard_rows=32, batch_size=8),
    consistency=Consistency(order=1, optimiser=Optimiser(epochs=2)),
)
ALL = SETTINGS.model_copy(update={"fits": "all"})
LAYERS = ["conv2", "conv3", "mean"]


@pytest.fixture
def networks(nets):
    return read_network(f"{nets}:tiny"), read_network(f"{nets}:wide", seed=1)


def cell(found, a, b):
    table = found.table.set_index(["layer_a", "layer_b"])
    return table.loc[(a, b)]


def test_each_pair_has_the_shares_of_its_own_comparison(networks, photos, tmp_path, monkeypatch):
    passes, write = [], StoreWriter.write
    monkeypatch.setattr(
        StoreWriter,
        "write",
        lambda self, shard, values: (passes.append(sorted(values)), write(self, shard, values)),
    )
    said = []
    found = compare_layers(
        *networks, LAYERS, LAYERS, photos, tmp_path / "all", ALL, say=said.append
    )
    assert len(found.table) == 9
    # one pass of each network over the 60 pictures, in the forms that the pairs need, and one of
    # each untrained twin
    recorded = [names for names in passes if "image" not in names]
    assert (
        recorded
        == [["conv2", "conv2@pool", "conv3", "conv3@pool", "mean"]] * 4
        + [["conv2", "conv3", "mean"]] * 4
    )
    assert said[0].startswith("18 fits (3 x 3 layers, both ways): about ")
    row = cell(found, "conv2", "conv3")
    assert (row["form_a"], row["shape_b"]) == ("own", "6 x 4 x 4")
    assert cell(found, "conv2", "mean")[["form_a", "form_b"]].tolist() == ["pool", "own"]
    alone = compare(*networks, "conv2", "conv3", photos, tmp_path / "one", SETTINGS)
    assert row["cka"] == pytest.approx(alone.peers[MINIBATCH][0], rel=1e-9)
    # g's seed depends on the fit's name, so the numbers are close, not equal
    test = alone.shares[alone.shares["subset"] == "test"].set_index("target")["xdelta"]
    assert row["xdelta_b"] == pytest.approx(test["b"], abs=0.1)
    assert row["xdelta_a"] == pytest.approx(test["a"], abs=0.1)


def test_an_interrupted_run_resumes_and_more_layers_need_only_their_fits(
    networks, photos, tmp_path, monkeypatch
):
    made, fit = [], fit_product.fit_pair

    def fitting(*arguments, **settings):
        if len(made) == 3:
            made.append("kill")
            raise KeyboardInterrupt
        made.append("fit")
        return fit(*arguments, **settings)

    monkeypatch.setattr(fit_product, "fit_pair", fitting)
    about = (photos, tmp_path / "out", ALL)
    with pytest.raises(KeyboardInterrupt):
        compare_layers(*networks, ["conv2"], ["conv2", "conv3"], *about)
    found = compare_layers(*networks, ["conv2"], ["conv2", "conv3"], *about)
    assert made == ["fit"] * 3 + ["kill"] + ["fit"]
    more = compare_layers(*networks, ["conv2", "conv3"], ["conv2", "conv3"], *about)
    assert len(made) == 5 + 4
    kept = more.table[more.table["layer_a"] == "conv2"].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, found.table)


def test_a_layer_is_reconstructed_from_itself(networks, photos, tmp_path):
    found = compare_layers(
        networks[0], networks[0], ["conv1", "conv3"], ["conv1", "conv3"], photos, tmp_path / "out",
        ALL,
    )  # fmt: skip
    for name in ("conv1", "conv3"):
        assert cell(found, name, name)[["xdelta_a", "xdelta_b"]].max() < 0.01
        assert cell(found, name, name)["cka"] == pytest.approx(1)
    # conv1 cannot be reconstructed from conv3
    assert cell(found, "conv3", "conv1")["xdelta_b"] > 0.1
    assert cell(found, "conv3", "conv1")["cka"] < 0.95


def test_all_leaves_out_layers_that_return_their_input(nets):
    network = read_network(f"{nets}:tiny")
    assert [layer.name for layer in distinct_layers(network, 16)] == [
        "conv1", "relu", "conv2", "relu_1", "conv3", "relu_2", "mean", "head"
    ]  # fmt: skip
    idle = torch.nn.Sequential(
        torch.nn.Conv2d(3, 2, 3), torch.nn.Dropout(), torch.nn.Identity(), torch.nn.ReLU()
    )
    wanted = [("0", (2, 14, 14)), ("3", (2, 14, 14))]
    found = distinct_layers(OwnNetwork("idle", idle), 16)
    assert [(layer.name, layer.shape) for layer in found] == wanted


def test_incompatible_pairs_are_left_out_and_counted(networks, photos, tmp_path):
    grid = SETTINGS.model_copy(update={"align": "grid"})
    found = compare_layers(*networks, LAYERS, ["conv3"], photos, tmp_path / "out", grid)
    assert found.table["layer_a"].tolist() == ["conv2", "conv3"]
    assert "1 pairs could not be brought to the same kind." in found.notes
    with pytest.raises(FeatureError, match=r"'mean' \(4\) cannot be laid on a grid"):
        compare_layers(*networks, ["mean"], ["conv3"], photos, tmp_path / "out", grid)


def test_a_constant_layer_loses_only_its_own_fits(photos, tmp_path):
    class Fading(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 4, 5, stride=4)

        def forward(self, x):
            x = self.conv(x)
            return (x * 0).mean((2, 3)) + x.mean((2, 3))

    module = Fading()
    found = compare_layers(module, module, ["conv"], ["conv", "mul"], photos, tmp_path / "out", ALL)
    assert cell(found, "conv", "conv").notna().all()
    assert cell(found, "conv", "mul")["cka":].isna().all()
    assert cell(found, "conv", "mul")[["xdelta_a", "xdelta_b", "cka"]].isna().all()
    assert "1 pairs have no measures: a layer is constant over the test images." in found.notes
    told = next(note for note in found.notes if "could not be made" in note)
    assert told.startswith("2 fits could not be made, the first b.mul-from-a.conv: target: the fe")
    assert "conv of a gives" in best(found.table)
    found.plot()
    with pytest.raises(FeatureError, match=r"the feature is constant over the"):
        compare_layers(module, module, ["mul"], ["mul"], photos, tmp_path / "out", ALL)
    told = (
        r"layers: no pair can be compared over the 24 test images: .* \(mul of a, mul of b\)\. Fix"
    )
    with pytest.raises(FeatureError, match=told):
        compare_layers(module, module, ["mul"], ["mul"], photos, tmp_path / "out", SETTINGS)


def test_features_larger_than_the_disk_are_refused_before_they_are_made(
    networks, photos, tmp_path, monkeypatch
):
    free = iter([10**6, 1000])  # pictures have room, features do not
    monkeypatch.setattr(estimate.shutil, "disk_usage", lambda _: SimpleNamespace(free=next(free)))
    with pytest.raises(StoreError, match=r"take 8\.16e-05 GB, 1e-06 GB are free\. Fix: use f"):
        compare_layers(*networks, LAYERS, LAYERS, photos, tmp_path / "out", ALL)
    assert not (tmp_path / "out" / "activations").exists()
    free = iter([10**6, 1000])
    with pytest.raises(StoreError, match=r"conv3 take .* GB, 1e-06 GB are free"):
        compare(*networks, "conv3", "conv3", photos, tmp_path / "pair", SETTINGS)


def test_a_full_disk_stops_no_run_whose_features_are_there(networks, photos, tmp_path, monkeypatch):
    compare(*networks, "conv3", "conv3", photos, tmp_path / "out", SETTINGS)
    full = SimpleNamespace(free=1000)
    monkeypatch.setattr(estimate.shutil, "disk_usage", lambda _: full)
    compare(*networks, "conv3", "conv3", photos, tmp_path / "out", SETTINGS)


def test_larger_fits_are_estimated_to_take_longer():
    def seconds(source, target, images=1000, rate=1e10):
        return estimate.seconds_of(source, target, images, SETTINGS, rate)

    small = seconds((8, 4, 4), (8, 4, 4))
    assert seconds((16, 4, 4), (8, 4, 4)) > small
    assert seconds((8, 4, 4), (16, 4, 4)) > small
    assert seconds((8, 4, 4), (8, 8, 8)) > small
    assert seconds((8, 4, 4), (8, 4, 4), images=2000) > small
    assert seconds((8, 4, 4), (8, 4, 4), rate=1e9) > small
    assert seconds((8,), (8,)) < small
    assert [estimate.spell_seconds(s) for s in (5.0, 600.0, 9000.0)] == ["5 s", "10 min", "2.5 h"]


@pytest.mark.long
def test_the_heatmaps_show_the_numbers_of_the_table(networks, photos, tmp_path):
    found = compare_layers(*networks, ["conv1", "mean"], LAYERS, photos, tmp_path / "m", ALL)
    figure = found.plot()
    shown = [axes.images[0].get_array() for axes in figure.axes[:6]]
    assert [values.shape for values in shown] == [(2, 3)] * 6
    row = cell(found, "mean", "conv2")
    at = [float(values[1, 0]) for values in shown]
    shares = row[["xdelta_b", "xdelta_a", "linear_flattened_b", "linear_flattened_a"]]
    assert at == pytest.approx([*(1 - shares), row["cka"], row["neighbours_flattened"]])
    page = write_matrix(found, tmp_path / "m")
    assert page == tmp_path / "m" / "index.html"
    assert "Layer by layer" in page.read_text()
    with Image.open(tmp_path / "m" / "figures" / "matrix.png") as picture:
        assert min(picture.size) > 300
    written = pd.read_csv(tmp_path / "m" / "tables" / "matrix.csv")
    np.testing.assert_allclose(written["xdelta_b"], found.table["xdelta_b"])
    assert list(written.columns) == [
        *("layer_a", "form_a", "shape_a", "layer_b", "form_b", "shape_b"),
        *("xdelta_b", "x0_b", "x1_b", "xdelta_b_train", "xdelta_a", "x0_a", "x1_a"),
        *("xdelta_a_train", "cka", "cka_calibrated", "p_cka"),
        *("neighbours_flattened", "neighbours_flattened_calibrated", "p_neighbours_flattened"),
        *("linear_flattened_b", "linear_flattened_b_calibrated"),
        *("linear_flattened_a", "linear_flattened_a_calibrated"),
    ]
    lowest = found.table.loc[found.table["xdelta_b"].idxmin()]
    assert f"{lowest['layer_a']} of a gives {100 * (1 - lowest['xdelta_b']):.1f} %" in best(
        found.table
    )


def test_layers_with_names_that_no_folder_can_have_are_compared(tmp_path):
    """Some are names of coordinates, one is too long, and two would share a fit's folder."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(80, 3)).astype(np.float32)
    noise = rng.normal(size=(80, 3)).astype(np.float32)
    turned = values @ rng.normal(size=(3, 3)).astype(np.float32)
    layers = {"subset": turned, "$a b$": values, "$a_b$": noise}
    np.save(tmp_path / "x.npy", values)
    a = OwnArrays("a", layers, tmp_path / "x.npy")
    b = OwnArrays("b", {"n" * 300: values}, tmp_path / "x.npy")
    found = compare_layers(a, b, out=tmp_path / "out", settings=ALL)
    for of_a, one in layers.items():
        for of_b, other in b.arrays.items():
            alike = (one is noise) == (other is noise)
            row = cell(found, of_a, of_b)
            for share in (row["xdelta_a"], row["xdelta_b"]):
                assert share < 0.01 if alike else share > 0.8
    folders = [path.name for path in (tmp_path / "out" / "fits").iterdir() if path.is_dir()]
    assert len(folders) == 3 * 2
    write_matrix(found, tmp_path / "out")


def test_no_g_is_fitted_unless_asked_for(networks, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(fit_product, "fit_pair", lambda *_, **__: pytest.fail("a fit was made"))
    said, out = [], tmp_path / "out"
    found = compare_layers(*networks, LAYERS, LAYERS, photos, out, SETTINGS, say=said.append)
    assert said[0].startswith("3 x 3 layers, no fits of g (--fits best or all) on ")
    assert not [name for name in found.table if name.startswith("xdelta")]
    assert found.table.notna().all(axis=None)
    assert found.table["p_cka"].between(1 / 200, 1).all()
    assert any(note.startswith("g is fitted to no pair. Fix") for note in found.notes)
    assert "by linear maps" in best(found.table)
    page = write_matrix(found, out)
    assert "shared neighbours" in (out / "figures" / "matrix.svg").read_text()
    assert "neighbours_flattened_calibrated" in page.read_text()
    # a second run reads the table of measures
    monkeypatch.setattr("kc.comparison.one_pass.image_gram", lambda *_: pytest.fail("computed"))
    again = compare_layers(*networks, LAYERS, LAYERS, photos, out, SETTINGS)
    pd.testing.assert_frame_equal(again.table, found.table)


def test_a_layer_and_itself_are_equal_after_calibration(networks, photos, tmp_path):
    layers = ["conv1", "conv3"]
    found = compare_layers(networks[0], networks[0], layers, layers, photos, tmp_path, SETTINGS)
    for name in layers:
        row = cell(found, name, name)
        for measure in ("cka", "neighbours_flattened"):
            assert row[[measure, f"{measure}_calibrated"]].tolist() == pytest.approx([1, 1])
            assert row[f"p_{measure}"] == pytest.approx(0.005)
        assert row["linear_flattened_a"] == pytest.approx(row["linear_flattened_b"])


def test_best_fits_each_layer_from_its_best_partner(tmp_path):
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(80, 3)).astype(np.float32) for _ in range(2))
    turned = {"x": x @ rng.normal(size=(3, 3)).astype(np.float32), "y": y + 0.1 * x}
    np.save(tmp_path / "x.npy", x)
    a = OwnArrays("a", {"x": x, "y": y, "z": np.hstack([x, y])}, tmp_path / "x.npy")
    b = OwnArrays("b", turned, tmp_path / "x.npy")
    said, settings = [], SETTINGS.model_copy(update={"fits": "best"})
    found = compare_layers(a, b, out=tmp_path / "out", settings=settings, say=said.append)
    assert said[0].startswith("at most 5 fits (3 x 2 layers, each from its best partner): at most")
    missed = found.table.pivot_table(
        index="layer_a", columns="layer_b", values="linear_flattened_b"
    )
    fitted = found.table.dropna(subset="xdelta_b").set_index("layer_b")["layer_a"]
    assert fitted.to_dict() == missed.idxmin().to_dict()
    back = found.table.dropna(subset="xdelta_a").set_index("layer_a")["layer_b"]
    assert back[["x", "y"]].to_dict() == {"x": "x", "y": "y"}
    assert len(back) == 3
    assert len([path for path in (tmp_path / "out" / "fits").iterdir() if path.is_dir()]) == 5


def test_with_too_many_images_only_cka_is_computed(networks, photos, tmp_path, monkeypatch):
    monkeypatch.setattr("kc.comparison.one_pass.MOST", 50)
    settings = SETTINGS.model_copy(update={"fits": "best"})
    found = compare_layers(*networks, ["conv3"], ["conv3"], photos, tmp_path / "out", settings)
    assert found.table.columns[-1] == "cka"
    assert "linear_flattened_b" not in found.table
    assert found.table[["xdelta_a", "xdelta_b"]].notna().all(axis=None)
    told = next(note for note in found.notes if "are left out" in note)
    assert told.startswith(
        "Linear maps, neighbours and permuted images are left out: 60 images are"
    )


def test_inner_products_that_take_too_much_memory_are_not_made():
    assert why_not(1000, 2000, 4.0) == (
        "inner products of 1000 images for 2000 layers take 24.0 GB, more than 4 (memory_gb)"
    )
    assert why_not(1000, 106, 4.0) is None


def test_heatmaps_of_many_layers_stay_small_and_name_some_of_them():
    names = [f"layer{number}" for number in range(160)]
    pairs = pd.MultiIndex.from_product([names, names], names=["layer_a", "layer_b"])
    table = pd.DataFrame({"cka": 0.5, "linear_flattened_b": 0.5}, index=pairs).reset_index()
    figure = matrix_figure(table, {"a": {"name": "a"}, "b": {"name": "b"}})
    assert max(figure.get_size_inches()) < 40
    shown = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert 60 < len(shown) < 160
    assert shown[0] == "layer0"
    few = matrix_figure(table[table["layer_a"].isin(names[:3]) & table["layer_b"].isin(names[:2])],
                        {"a": {"name": "a"}, "b": {"name": "b"}})  # fmt: skip
    assert [text.get_text() for text in few.axes[0].get_yticklabels()] == names[:3]
