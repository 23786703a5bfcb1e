"""Many models: each pair in both directions, references, what one model more costs."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.cluster import hierarchy
from torch import nn
from typer.testing import CliRunner

from kc.cli.main import app
from kc.comparison import CompareSettings, compare_layers, read_network
from kc.comparison.model_tables import condensed, nearest_models, square, tree_of
from kc.comparison.models import compare_models, name_in_files
from kc.comparison.networks import OwnNetwork
from kc.comparison.references import pixel_reader, untrained_twin
from kc.comparison.shown import nearest_sentence
from kc.comparison.write_matrix import write_matrix
from kc.comparison.write_models import write_models
from kc.errors import FeatureError
from kc.settings.feature_maps import Activations
from kc.settings.reconstruction import Consistency, Optimiser
from kc.store.product import Product

SETTINGS = CompareSettings(
    size=16,
    activations=Activations(shard_rows=32, batch_size=8),
    consistency=Consistency(order=1, optimiser=Optimiser(epochs=2)),
)
MEASURES = ("cka", "neighbours_flattened", "linear_flattened")


@pytest.fixture
def networks(nets):
    made = [read_network(f"{nets}:{name}", seed=n) for n, name in enumerate(("tiny", "wide"))]
    again = OwnNetwork("again", made[0].model)
    return [*made, again]


def row(table: pd.DataFrame, source: str, target: str) -> pd.Series:
    return table.set_index(["source", "target"]).loc[(source, target)]


def test_each_pair_has_the_numbers_of_its_own_comparison(networks, photos, tmp_path):
    found = compare_models(networks, "conv2", photos, tmp_path / "all", SETTINGS)
    tiny, wide, again = (network.name for network in networks)
    assert set(found.table["source"]) - {tiny, wide, again} == {
        *(f"{name} (untrained, seed 0)" for name in (tiny, wide, again)),
        "pixels",
    }
    # every target from the two other models, three twins and the pixels
    assert len(found.table) == 3 * (2 + 3 + 1)
    alone = compare_layers(*networks[:2], "conv2", "conv2", photos, tmp_path / "two", SETTINGS)
    own = alone.table.iloc[0]
    both = row(found.table, tiny, wide), row(found.table, wide, tiny)
    for name in ("cka", "neighbours_flattened"):
        assert both[0][name] == pytest.approx(own[name], abs=1e-9)
        assert both[1][name] == pytest.approx(own[name], abs=1e-9)
    assert both[0]["linear_flattened"] == pytest.approx(own["linear_flattened_b"], abs=1e-9)
    assert both[1]["linear_flattened"] == pytest.approx(own["linear_flattened_a"], abs=1e-9)
    # the same weights under another name
    same = row(found.table, tiny, again)
    assert same[["cka", "neighbours_flattened"]].tolist() == pytest.approx([1, 1])
    back = row(found.table, again, tiny)["linear_flattened"]
    assert same["linear_flattened"] == pytest.approx(back)
    assert back < both[0]["linear_flattened"]
    assert same["p_cka"] == 1 / 200


def test_one_model_more_needs_only_its_own_pairs(networks, photos, tmp_path, monkeypatch):
    compare_models(networks[:2], "conv2", photos, tmp_path, SETTINGS)
    made, start = [], Product.start
    monkeypatch.setattr(
        Product, "start", lambda self: (made.append(self.folder.name), start(self))[1]
    )
    compare_models(networks[:2], "conv2", photos, tmp_path, SETTINGS)
    assert made == []
    compare_models(networks, "conv2", photos, tmp_path, SETTINGS)
    place = name_in_files(networks[2].name)
    # four others from it, its twin and to it: 2 + 2 + 2 pairs of models, 2 + 1 of twins, pixels
    assert made
    assert all(place in name for name in made)


def test_fits_of_g_are_made_where_asked_and_in_both_directions(networks, photos, tmp_path):
    settings = SETTINGS.model_copy(update={"fits": "all"})
    said: list[str] = []
    found = compare_models(
        networks, "conv2", photos, tmp_path, settings, references=False, say=said.append
    )
    assert "6 fits of g: about" in said[0]
    assert len(found.table) == 6
    assert found.table["xdelta"].notna().all()
    tiny, _, again = (network.name for network in networks)
    assert row(found.table, tiny, again)["xdelta"] < 0.05
    assert len(found.provenance["fits"]) == 6
    without = compare_models(networks, "conv2", photos, tmp_path, SETTINGS, references=False)
    assert "xdelta" not in without.table


def test_all_layers_are_condensed_to_the_best_partner_of_each_target_layer():
    layers = pd.DataFrame(
        {
            "kind": "model", "source": "a", "target": "b",
            "layer_source": ["x", "x", "y", "y"], "layer_target": ["u", "v", "u", "v"],
            "cka": [0.1, 0.8, 0.5, 0.2], "p_cka": [1.0, 1, 1, 1],
            "linear_flattened": [0.9, 0.3, 0.4, 0.7],
        }
    )  # fmt: skip
    (found,) = condensed(layers).to_dict("records")
    assert found["layer_pairs"] == 4
    assert found["cka"] == pytest.approx((0.5 + 0.8) / 2)
    assert found["linear_flattened"] == pytest.approx((0.4 + 0.3) / 2)
    assert "p_cka" not in found


def models_table(values: dict[tuple[str, str], float]) -> pd.DataFrame:
    rows = [
        {"kind": "pixels" if a == "pixels" else "model", "source": a, "target": b}
        | {"cka": v, "cka_calibrated": v, "linear_flattened": 1 - v, "layer_pairs": 1}
        for (a, b), v in values.items()
    ]
    return pd.DataFrame(rows)


def test_nearest_and_tree_follow_from_the_numbers():
    near = {("a", "b"): 0.9, ("a", "c"): 0.3, ("b", "c"): 0.5}
    table = models_table(
        {**near, **{(b, a): v for (a, b), v in near.items()}}
        | {("pixels", name): 0.1 for name in "abc"}
    )
    found = nearest_models(table).set_index(["target", "measure"])
    assert found.loc[("a", "cka"), ["nearest", "value"]].tolist() == ["b", 0.9]
    assert found.loc[("c", "linear_flattened"), "nearest"] == "b"
    assert found.loc[("c", "linear_flattened"), "pixels"] == pytest.approx(0.9)
    assert np.isnan(found.loc[("c", "cka"), "untrained"])
    wide = square(table, "cka")
    assert list(wide.index) == ["a", "b", "c", "pixels"]
    assert wide.loc["a", "b"] == 0.9
    tree = tree_of(table)
    assert tree is not None
    # a and b at 0.1, then c at the mean of 0.7 and 0.5
    assert tree.links[:, 2].tolist() == pytest.approx([0.1, 0.6])
    assert hierarchy.is_valid_linkage(tree.links)
    assert "b and a are nearest (0.900); c is farthest" in nearest_sentence(nearest_models(table))


def test_a_twin_has_other_weights_of_the_same_shapes_and_leaves_the_original():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.token = nn.Parameter(torch.arange(8.0))
            self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

        def forward(self, x):
            return self.norm(self.conv(x)) + self.token.sum()

    model = Own()
    with torch.no_grad():
        model.norm.running_mean.fill_(5)
        model.conv.weight.fill_(7)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    twin = untrained_twin(OwnNetwork("own", model), 3)
    assert twin.name == "own (untrained, seed 3)"
    state = twin.model.state_dict()
    assert {n: v.shape for n, v in state.items()} == {n: v.shape for n, v in before.items()}
    assert not (state["conv.weight"] == 7).any()
    assert (state["norm.running_mean"] == 0).all()
    # nothing says how it is first drawn: the same values in another order
    assert sorted(state["token"].tolist()) == before["token"].tolist()
    assert state["token"].tolist() != before["token"].tolist()
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    again = untrained_twin(OwnNetwork("own", model), 3).model.state_dict()
    assert torch.equal(state["conv.weight"], again["conv.weight"])


def test_pixels_are_reduced_by_their_mean():
    pictures = np.arange(2 * 3 * 64 * 64, dtype=np.float32).reshape(2, 3, 64, 64)
    found = pixel_reader(pictures)(np.array([1]))
    assert found.shape == (1, 3, 32, 32)
    assert found[0, 0, 0, 0] == pytest.approx(pictures[1, 0, :2, :2].mean())
    small = pictures[:, :, :16, :16]
    assert np.array_equal(pixel_reader(small)(np.array([0])), small[:1])


def test_two_models_of_one_name_are_refused(networks, photos, tmp_path):
    with pytest.raises(FeatureError, match="two models are named"):
        compare_models([networks[0], networks[0]], "conv2", photos, tmp_path, SETTINGS)


def test_a_page_with_tables_and_figures_is_written(networks, photos, tmp_path):
    found = compare_models(networks, ["conv2", "conv3", "conv2"], photos, tmp_path, SETTINGS)
    page = write_models(found, tmp_path)
    text = page.read_text()
    assert "<h1>3 models</h1>" in text
    assert "are nearest" in text
    for name in ("models", "nearest", "model_layers"):
        assert (tmp_path / "tables" / f"{name}.csv").is_file()
    for name in ("models", "tree"):
        assert (tmp_path / "figures" / f"{name}.png").stat().st_size > 5000
    read = pd.read_csv(tmp_path / "tables" / "models.csv")
    assert len(read) == len(found.table)
    assert "untrained: a network of the same shape" in (tmp_path / "tables/models.md").read_text()


def test_the_command_takes_a_list_of_models(nets, photos, tmp_path):
    out = tmp_path / "out"
    given = ["compare", "--models", f"{nets}:tiny,{nets}:wide", "--layer", "conv2"]
    given += ["--images", str(photos), "--size", "16", "--out", str(out)]
    done = CliRunner().invoke(app, given)
    assert done.exit_code == 0, done.output
    assert "By CKA (0: as permuted images, 1: equal)" in done.output
    assert (out / "index.html").is_file()


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--models", "x,x"], "models: 'x' is named twice"),
        (["--models", "x,y", "--layer", "a,b,c"], "3 layers for 2 models"),
        (["--models", "x,y", "--layer-a", "a"], "--layer-a: is of a pair"),
        (["--models", "x,y", "--size-a", "32"], "--size-a: is of a pair"),
        (["--models", "x"], "--models"),
        (["--b", "x"], "--a: missing. Fix: --a and --b, or --models A,B,C"),
    ],
)
def test_a_wrong_call_is_one_clear_error(tmp_path, more, told):
    done = CliRunner().invoke(app, ["compare", *more, "--out", str(tmp_path / "out")])
    assert done.exit_code == 2
    assert told in done.output
    assert "Traceback" not in done.output


def test_a_matrix_shows_the_same_references(networks, photos, tmp_path):
    two = compare_layers(*networks[:2], "conv2", "conv2", photos, tmp_path / "two", SETTINGS)
    many = compare_models(networks[:2], "conv2", photos, tmp_path / "many", SETTINGS)
    assert two.references is not None
    found = two.references.set_index(["side", "layer", "reference"])
    assert len(found) == 4
    tiny, wide = (network.name for network in networks[:2])
    for letter, target, other in (("a", tiny, wide), ("b", wide, tiny)):
        for reference, source in (("untrained", f"{other} (untrained, seed 0)"), ("pixels",) * 2):
            own, same = found.loc[(letter, "conv2", reference)], row(many.table, source, target)
            for name in MEASURES:
                assert own[name] == pytest.approx(same[name], abs=1e-9), (letter, reference, name)


def test_of_several_layers_a_reference_is_the_best_by_each_measure(networks, photos, tmp_path):
    two = compare_layers(
        *networks[:2], ["conv2", "conv3"], "conv2", photos, tmp_path / "two", SETTINGS
    )
    many = compare_models(networks[:2], "conv2", photos, tmp_path / "many", SETTINGS)
    assert two.references is not None
    found = two.references.set_index(["side", "layer", "reference"])
    single = row(many.table, f"{networks[0].name} (untrained, seed 0)", networks[1].name)
    best = found.loc[("b", "conv2", "untrained")]
    assert best["cka"] >= single["cka"] - 1e-9
    assert best["linear_flattened"] <= single["linear_flattened"] + 1e-9
    write_matrix(two, tmp_path / "two")
    assert len(pd.read_csv(tmp_path / "two" / "tables" / "references.csv")) == len(found)
