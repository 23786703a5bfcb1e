"""The ladder of a comparison and the spread over seeds of g."""

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError

from kc.comparison import CompareSettings, compare, notes, read_arrays, rungs
from kc.comparison.estimate import linear_operations
from kc.comparison.shares import of_spread
from kc.comparison.write_pair import write_comparison
from kc.consistency import fit_product
from kc.consistency import rungs as measured
from kc.settings.custom import Pair
from kc.settings.reconstruction import Consistency, Optimiser


def settings(epochs=1, **given):
    more = {name: given.pop(name) for name in ("ladder", "repeats") if name in given}
    return CompareSettings(
        consistency=Consistency(optimiser=Optimiser(epochs=epochs), **given), **more
    )


@pytest.fixture
def sides(tmp_path):
    """A target that is a 5 x 5 convolution of the source: a wider field, and linear."""
    rng = torch.Generator().manual_seed(0)
    a = torch.randn(120, 2, 6, 6, generator=rng)
    b = F.conv2d(a, torch.randn(3, 2, 5, 5, generator=rng) / 5, padding=2)
    for name, values in (("a", a), ("b", b)):
        np.save(tmp_path / f"{name}.npy", values.numpy())
    return [read_arrays(str(tmp_path / f"{name}.npy")) for name in "ab"]


def test_linear_maps_are_compared_with_g_and_nothing_is_made_twice(sides, tmp_path, monkeypatch):
    found = compare(*sides, out=tmp_path / "out", settings=settings())
    ladder = found.ladder[found.ladder["target"] == "b"].set_index("map")
    linear = ladder.loc["linear"].set_index("field")["xdelta"]
    assert list(linear.index) == [3, 5, 7]
    assert linear[3] > 0.3
    assert linear[5] < 0.03
    g = ladder.loc["g"]
    assert g["beyond_linear"] == pytest.approx(linear[7] - g["xdelta"])
    assert g["beyond_linear"] < 0
    assert "flattened" in ladder.index
    assert "than the linear map of its field" in found.ladder_notes[0]
    held = found.shares[found.shares["subset"] == "test"].set_index("target")
    assert held["x1_beyond"]["b"] <= held["x1"]["b"]
    monkeypatch.setattr(measured, "linear_rung", lambda *_: pytest.fail("made again"))
    again = compare(*sides, out=tmp_path / "out", settings=settings())
    pd.testing.assert_frame_equal(again.ladder, found.ladder)
    pd.testing.assert_frame_equal(again.shares, found.shares)


def test_the_complete_ladder_is_written_and_resumes(sides, tmp_path, monkeypatch):
    out, fit, made = tmp_path / "out", fit_product.fit_pair, []

    def fitting(pair, of, run):
        if len(made) == 4 and "kill" not in made:
            made.append("kill")
            raise KeyboardInterrupt
        made.append((of.order, of.penalty, run.choose))
        return fit(pair, of, run)

    monkeypatch.setattr(fit_product, "fit_pair", fitting)
    given = settings(ladder=True, penalty=0.01)
    with pytest.raises(KeyboardInterrupt):
        compare(*sides, out=out, settings=given)
    found = compare(*sides, out=out, settings=given)
    path = [(2, penalty, "last") for penalty in (0.0, 0.001, 0.003, 0.03, 0.1)]
    one = [(1, 0.01, "validation"), *path]
    assert [entry for entry in made if entry != "kill"] == [
        *[(2, 0.01, "validation")] * 2, *one, *one
    ]  # fmt: skip
    of_g = found.ladder[(found.ladder["map"] == "g") & (found.ladder["target"] == "b")]
    assert list(of_g["penalty"]) == [0.01, 0.0, 0.001, 0.003, 0.01, 0.03, 0.1]
    assert list(of_g["order"]) == [1, 2, 2, 2, 2, 2, 2]
    assert list(of_g["field"]) == [5, 7, 7, 7, 7, 7, 7]
    page = write_comparison(found, out)
    assert "Orders and linear maps" in page.read_text()
    for name in ("ladder", "ladder-path"):
        assert (out / "figures" / f"{name}.png").is_file()
    assert "beyond linear" in (out / "tables" / "ladder.md").read_text()


def test_without_the_ladder_no_linear_maps_are_made(sides, tmp_path):
    found = compare(*sides, out=tmp_path / "out", settings=settings(ladder=False))
    assert found.ladder is None
    assert "x0_linear" not in found.shares
    assert not (tmp_path / "out" / "ladder").exists()


def test_a_map_that_costs_more_than_the_fit_is_left_out_and_named(sides, tmp_path, monkeypatch):
    least = linear_operations((2, 6, 6), (3, 6, 6), 72, 5) / 3
    monkeypatch.setattr(rungs, "LEAST", 0)
    monkeypatch.setattr(rungs, "operations_of", lambda *_: least)
    monkeypatch.setattr(rungs, "SLOWER", 3)
    found = compare(*sides, out=tmp_path / "out", settings=settings())
    assert set(found.ladder["field"].dropna()) == {3, 5, 7}  # 7 is that of g
    assert 7 not in set(found.ladder[found.ladder["map"] == "linear"]["field"])
    assert "left out 7 x 7 (it costs more than the fit: --ladder)" in found.ladder_notes[0]
    monkeypatch.setattr(measured, "WIDEST", 20)
    found = compare(*sides, out=tmp_path / "out", settings=settings(ladder=True, order=0))
    assert "left out 3 x 3 (27 inputs, at most 20)" in found.ladder_notes[0]


def test_other_seeds_of_g_give_the_spread_of_each_order(sides, tmp_path):
    given = settings(repeats=2, ladder=False)
    found = compare(*sides, out=tmp_path / "out", settings=given)
    held = found.shares[found.shares["subset"] == "test"].set_index("target").loc["b"]
    first, second = (
        pd.read_csv(tmp_path / "out" / "fits" / f"b-from-a{suffix}" / "variances.csv")
        .query("subset == 'test'").set_index("component")["variance"]
        for suffix in ("", ".2")
    )  # fmt: skip
    for name in ("xdelta", "x1"):
        shares = [one[name] / one["target"] for one in (first, second)]
        assert held[name] == pytest.approx(shares[0])
        assert held[f"{name}_spread"] == pytest.approx(abs(shares[0] - shares[1]))
    assert any(note.startswith("_spread: largest minus smallest of 2 fits") for note in found.notes)


def test_an_order_smaller_than_its_spread_is_named_in_the_notes():
    row = {"target": "b", "source": "a", "subset": "test", "x1": 0.02, "x1_spread": 0.05}
    row |= {"x0": 0.6, "x0_spread": 0.1}
    told = of_spread(pd.DataFrame([row, row | {"subset": "train"}]), 3)
    assert told[1].endswith("test images: x1 of b from a (0.020, spread 0.050).")
    assert len(of_spread(pd.DataFrame([row | {"x1_spread": 0.01}]), 3)) == 1
    assert of_spread(pd.DataFrame([row]), 1) == []


def test_impossible_ladders_and_repeats_are_refused():
    with pytest.raises(ValidationError, match="ladder needs one layer of each side; expected"):
        Pair(a="x.npy", b="y.npy", layers="all", ladder=True)
    with pytest.raises(ValidationError, match="repeats needs one layer of each side"):
        Pair(a="x.npy", b="y.npy", layers="all", repeats=2)
    with pytest.raises(ValidationError, match="ladder is of the preset 'paper': 'released' fin"):
        settings(ladder=True, preset="released")


def test_the_notes_of_a_ladder_without_linear_maps_name_no_gain():
    row = {"map": "g", "target": "b", "source": "a", "order": 2, "penalty": 0.01}
    frame = pd.DataFrame([row | {"xdelta": 0.2, "beyond_linear": np.nan, "validation_mse": 0.1}])
    assert notes.of_ladder(frame, 0.01, {"a to b": ()}) == (notes.LADDER,)
    worse = frame.assign(beyond_linear=-0.02)
    told = notes.of_ladder(worse, 0.01, {"a to b": ("7 x 7 (why)",)})[0]
    assert told.startswith("a to b: g of order 2 gives 0.020 less than the linear map of its field")
    assert told.endswith("; a to b: left out 7 x 7 (why).")
