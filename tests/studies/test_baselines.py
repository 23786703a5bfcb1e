"""The study `baselines` on small hand-written stores, and its files."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kc.errors import StoreError
from kc.plans.products import FitPlan, NetworkPlan
from kc.plans.study import StudyPlan
from kc.settings.load import load_settings
from kc.similarity.measures import NAMES, similarities
from kc.store import ArraySpec, StoreContent, StoreWriter, open_store
from kc.studies import baselines
from kc.studies.baselines import agreement, baselines_table
from tests.reference.written_fits import card_of, write_card, write_network

A, B, C = (NetworkPlan("birds", "alexnet", seed) for seed in range(3))
AB, BA, CA = (
    FitPlan(source, target, "conv4", "conv4") for source, target in ((A, B), (B, A), (C, A))
)
HALF = FitPlan(A, B, "conv4", "conv4", "half")
ONLY = FitPlan(A, B, "conv4", "conv4", only="bird")
KEPT = FitPlan(A, B, "conv4", "conv4", keep=True)
PLAN = StudyPlan({"stability": (AB, HALF, BA), "redundancy": (ONLY,), "orders": (KEPT, CA)})
SHARES = {AB.name: 0.3, BA.name: 0.4, CA.name: 0.9}
N = 160


def write_store(path: Path, values: np.ndarray, rows: pd.DataFrame) -> None:
    dims = ("image", "channel", "y", "x")
    spec = ArraySpec("features.8", dims, values.shape, "float16", statistics=True)
    with StoreWriter(path, path.name, StoreContent([spec], rows, 32)) as writer:
        for number in writer.missing():
            writer.write(number, {"features.8": values[writer.rows(number)]})
        writer.finish()


def write_all(results: Path) -> None:
    """A and B share half of their variance, C shares nothing with them."""
    rng = np.random.default_rng(0)
    a, noise, c = rng.normal(size=(3, N, 4, 3, 3))
    rows = pd.DataFrame({"image_id": [f"{n:03d}.jpg" for n in range(N)]})
    rows["subset"] = np.where(rng.random(N) < 0.6, "train", "test")
    for network, values in ((A, a), (B, 1 + a[:, ::-1] + noise), (C, c)):
        path = results / "activations" / f"{network.name}.zarr"
        write_store(path, values.astype(np.float16), rows)
        write_network(network, results)
    for fit in (AB, BA, CA):
        share = SHARES[fit.name]
        card = card_of(fit) | {"share_delta": {"test": share, "train": share - 0.1}}
        folder = results / "fits" / fit.name
        folder.mkdir(parents=True)
        write_card(folder, card)


@pytest.fixture
def settings(tmp_path: Path):
    write_all(tmp_path)
    return load_settings({"results": tmp_path, "device": "cpu"})


def test_the_table_has_one_row_for_each_fit_on_all_images(settings):
    table = baselines_table(settings, PLAN)
    assert list(table["studies"]) == ["stability orders", "stability", "orders"]
    assert list(table["source_network"]) == [A.name, B.name, C.name]
    assert list(table["target_network"]) == [B.name, A.name, A.name]
    assert list(table["share"]) == [0.3, 0.4, 0.9]
    assert table["share_train"].to_list() == pytest.approx([0.2, 0.3, 0.8])
    assert set(table["layer"]) == set(table["source_layer"]) == {"conv4"}
    assert set(NAMES) <= set(table.columns)


def test_numbers_are_those_of_the_stored_layers(settings):
    table = baselines_table(settings, PLAN)
    folder = settings.results / "activations"
    stores = [open_store(folder / f"{network.name}.json") for network in (A, B)]
    subset = stores[0].rows["subset"].to_numpy()
    x, y = (store["features.8"][:].astype(np.float32) for store in stores)
    wanted = similarities(x, y, subset == "train", subset == "test")
    for name in NAMES:
        assert table[name][0] == pytest.approx(wanted[name], nan_ok=True), name
    assert table["test_images"][0] == (subset == "test").sum()
    assert table["linear_share_positions"].to_list() == pytest.approx([0.5, 0.5, 1], abs=0.06)
    assert table["cka_positions"][2] == pytest.approx(0, abs=0.02)
    assert table["cka_positions"][0] == pytest.approx(0.5, abs=0.06)


def test_symmetric_measures_are_the_same_both_ways(settings):
    table = baselines_table(settings, PLAN)
    for name in ("cka", "svcca", "mean_cca", "procrustes"):
        assert table[f"{name}_positions"][0] == pytest.approx(table[f"{name}_positions"][1])
    assert table["pwcca_positions"][0] != table["pwcca_positions"][1]


def test_streamed_features_give_the_numbers_of_held_ones(settings):
    part = settings.consistency.model_copy(update={"memory_gb": 1e-9})
    streamed = settings.model_copy(update={"consistency": part})
    pd.testing.assert_frame_equal(
        baselines_table(streamed, PLAN), baselines_table(settings, PLAN), check_exact=True
    )


def test_a_missing_store_or_fit_is_named(settings):
    path = settings.results / "activations" / f"{C.name}.json"
    path.unlink()
    with pytest.raises(StoreError, match=f"{C.name}.zarr: the store is unfinished"):
        baselines_table(settings, PLAN)
    (settings.results / "fits" / AB.name / "card.json").unlink()
    with pytest.raises(StoreError, match="no such file; expected the fit from"):
        baselines_table(settings, PLAN)


def test_agreement_ranks_pairs_as_g_does():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({name: np.full(6, np.nan) for name in NAMES})
    table["share"] = share = np.linspace(0.1, 0.9, 6)
    table["cka_positions"] = np.exp(-share)
    table["linear_share_positions"] = share**3
    table["procrustes_positions"] = share
    table["svcca_positions"] = 0.5
    table["pwcca_positions"] = np.r_[rng.random(3), np.full(3, np.nan)]
    found = agreement(table)
    assert found["cka_positions"] == pytest.approx(1)
    assert found["linear_share_positions"] == pytest.approx(1)
    assert found["procrustes_positions"] == pytest.approx(-1)
    assert found[["svcca_positions", "pwcca_positions", "cka_flattened"]].isna().all()


def test_files_are_written(settings, monkeypatch):
    plan = StudyPlan({"stability": (AB, BA), "orders": (KEPT, CA)})
    monkeypatch.setattr(baselines, "plan_of", lambda _, study: {"baselines": plan}[study])
    baselines.write(settings)
    tables = settings.results / "tables"
    found = pd.read_csv(tables / "baselines.csv")
    pd.testing.assert_frame_equal(found, baselines_table(settings, plan), check_exact=True)
    text = (tables / "baselines.md").read_text()
    assert "CKA, positions" in text
    assert "missed by the best linear map, flattened" in text
    assert str(settings.results) not in text
    assert set(json.loads((tables / "baselines.json").read_text())["fits"]) == set(SHARES)
    assert (tables / "baselines.tex").stat().st_size > 1000


def test_the_note_on_order_needs_enough_pairs(settings):
    table = baselines_table(settings, PLAN)
    assert baselines._agreement(table) == []
    four = pd.concat([table, table.iloc[:1]], ignore_index=True)
    (note,) = baselines._agreement(four)
    assert "Order of the 4 pairs" in note
    assert "cka_positions +0" in note
    assert "pairs share networks" in note.lower()
