"""Tables 3 and 4 and the diagnosis, from a small real pipeline."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from torch import nn

from kc.networks.tails import HeldFeatures, fresh_tail, predictions, train_tail
from kc.plans.studies import plan_of
from kc.plans.study import StudyPlan
from kc.runtime import derive_seed
from kc.settings.whole import Settings
from kc.studies.diagnosis import (
    ALONE,
    FRESH,
    GIVEN,
    RAW,
    RELIABLE,
    WITH_BLIND,
    diagnosis_pairs,
    diagnosis_table,
    is_strong,
    margin,
)
from kc.studies.features import Bench, ShapedFeatures
from kc.studies.fits import read_network_card
from kc.studies.reading import Readings
from kc.studies.redundancy import redundancy_pairs, redundancy_table
from kc.studies.refinement import refinement_pairs, refinement_table
from tests.studies.conftest import A, B

ACCURACY = {"features", "network", "layer", "top1", "ci_low", "ci_high", "n", "n_pairs", "paper"}
AS_TRAINED = ["A_as_trained", "B_as_trained"]
GAINS = [f"gain_over_{name}{end}" for name in "AB" for end in ("", "_low", "_high")]
TEST_IMAGES, TEST_DOGS = 40, 16


@pytest.fixture(scope="module")
def diagnosed(tiny: Settings) -> pd.DataFrame:
    return diagnosis_pairs(tiny, plan_of(tiny, "diagnosis"))


def renamed(plan: StudyPlan, task: str) -> StudyPlan:
    """Rename a task, as a settings file may do."""
    (fits,) = plan.cases.values()
    return StudyPlan({task: fits}, stores=True)


def test_table3_has_a_row_for_each_feature_with_its_accuracy(tiny: Settings):
    plan = plan_of(tiny, "refinement")
    pairs = refinement_pairs(tiny, plan)
    frame = refinement_table(pairs)
    assert ACCURACY | set(GAINS) <= set(frame.columns)
    assert frame["features"].tolist() == [*AS_TRAINED, "A", "B", "x0", "x0+x1", "x0+x1+x2"]
    assert set(zip(frame["network"], frame["layer"], strict=True)) == {("alexnet", "conv5")}
    assert frame["test_images"].tolist() == [TEST_IMAGES] * 7
    assert set(zip(frame["n"], frame["n_pairs"], strict=True)) == {(2, 2)}
    assert frame["paper"].isna().all()  # the paper has no AlexNet in Table 3
    found = [Readings(Bench(tiny)).of_pair(fit, range(3)) for fit in plan.fits]
    for features, rows in pairs[~pairs["features"].isin(AS_TRAINED)].groupby("features"):
        assert rows["top1"].tolist() == [100 * some[features].mean() for some in found]
    means = pairs.groupby("features", sort=False)["top1"].mean()
    assert frame["top1"].tolist() == pytest.approx(means.tolist())
    cards = [read_network_card(network, tiny.results)["accuracy"]["test"] for network in (A, B)]
    as_trained = pairs[pairs["features"] == "A_as_trained"].set_index("source_network")["top1"]
    assert [as_trained[network.name] for network in (A, B)] == cards


def test_baselines_have_equal_means_where_each_network_is_a_and_b(tiny: Settings):
    frame = refinement_table(refinement_pairs(tiny, plan_of(tiny, "refinement")))
    top1 = frame.set_index("features")["top1"]
    assert top1["A"] == top1["B"]
    assert top1["A_as_trained"] == top1["B_as_trained"]
    assert frame["gain_over_A"].tolist() == pytest.approx(frame["gain_over_B"].tolist())


def test_table3_of_fewer_orders_has_fewer_sums(tiny: Settings):
    fewer = tiny.consistency.model_copy(update={"order": 1})
    pairs = refinement_pairs(
        tiny.model_copy(update={"consistency": fewer}), plan_of(tiny, "refinement")
    )
    features = refinement_table(pairs)["features"].tolist()
    assert features == [*AS_TRAINED, "A", "B", "x0", "x0+x1"]


def test_table4_uses_only_the_images_of_the_task(tiny: Settings):
    plan = plan_of(tiny, "redundancy")
    pairs = redundancy_pairs(tiny, plan)
    frame = redundancy_table(pairs)
    assert {"task"} | ACCURACY | set(GAINS) <= set(frame.columns)
    assert frame["task"].tolist() == ["mix_dogs"] * 5
    assert frame["features"].tolist() == [*AS_TRAINED, "A", "B", "x0+x1+x2"]
    assert frame["test_images"].tolist() == [TEST_DOGS] * 5
    found = Readings(Bench(tiny)).of_pair(plan.cases["mix_dogs"][0], [2])
    first = pairs[~pairs["features"].isin(AS_TRAINED)].iloc[:3]
    assert first["top1"].tolist() == [100 * found[name].mean() for name in first["features"]]


def test_every_task_has_its_rows(tiny: Settings):
    plan = plan_of(tiny, "redundancy")
    twice = StudyPlan({**plan.cases, **renamed(plan, "again").cases}, stores=True)
    frame = redundancy_table(redundancy_pairs(tiny, twice))
    assert frame["task"].tolist() == ["mix_dogs"] * 5 + ["again"] * 5
    assert frame.index.tolist() == list(range(10))
    assert frame["top1"].tolist()[:5] == frame["top1"].tolist()[5:]


def test_diagnosis_has_rows_for_both_networks_and_four_features_of_each_pair(
    tiny: Settings, diagnosed: pd.DataFrame
):
    features = ["alexnet", "resnet18", RAW, GIVEN, WITH_BLIND, RELIABLE]
    assert diagnosed["chain"].tolist() == [0] * 6 + [1] * 6
    assert diagnosed["features"].tolist() == features * 2
    assert diagnosed["experiment"].tolist() == ([ALONE] * 2 + [FRESH] * 4) * 2
    blind = plan_of(tiny, "diagnosis").cases["blind_spots"]
    ends = [end for fit in blind for end in (fit.source, fit.target)]
    cards = [read_network_card(end, tiny.results)["accuracy"]["test"] for end in ends]
    alone = diagnosed[diagnosed["experiment"] == ALONE]
    assert alone["top1"].tolist() == cards
    assert diagnosed["test_images"].tolist() == [TEST_IMAGES] * 12
    assert alone["half_width"].isna().all()
    fresh = diagnosed[diagnosed["experiment"] == FRESH]
    assert fresh[["half_width", "gain_over_raw"]].notna().all(axis=None)


def test_the_table_of_the_diagnosis_averages_over_pairs(diagnosed: pd.DataFrame):
    table = diagnosis_table(diagnosed)
    assert {"experiment", "features", "top1", "ci_low", "ci_high", "n", "n_pairs", "paper"} | {
        "gain_over_raw", "gain_over_raw_low", "gain_over_raw_high", "paper_gain",
    } <= set(table.columns)  # fmt: skip
    top1 = diagnosed.groupby("features", sort=False)["top1"].mean()
    assert table.set_index("features")["top1"].to_dict() == pytest.approx(top1.to_dict())
    assert set(zip(table["n"], table["n_pairs"], strict=True)) == {(2, 2)}
    assert table["ci_low"].isna().all()  # two pairs
    paper = table.set_index("features")["paper"].to_dict()
    assert (paper["alexnet"], paper[RAW], paper[RELIABLE]) == (56.97, 60.3, 65.6)
    assert math.isnan(paper["resnet18"])  # the paper's strong one is ResNet-34
    assert math.isnan(paper[GIVEN])
    gain = table.set_index("features")["paper_gain"].to_dict()
    assert (gain[WITH_BLIND], gain[RELIABLE]) == (16.1, 5.3)
    assert math.isnan(gain[RAW])


def test_gains_of_the_diagnosis_are_over_the_raw_feature(diagnosed: pd.DataFrame):
    for _, pair in diagnosed[diagnosed["experiment"] == FRESH].groupby("chain"):
        fresh = pair.set_index("features")
        for name in fresh.index:
            gain = fresh["top1"][name] - fresh["top1"][RAW]
            assert fresh["gain_over_raw"][name] == pytest.approx(gain)
        assert fresh["gain_over_raw_half_width"][RAW] == 0


def test_the_margin_of_strong_networks_has_an_interval_over_pairs():
    pairs = pd.DataFrame(
        {"chain": [0, 0, 1, 1, 2, 2], "experiment": ALONE, "top1": [50, 62, 55, 65, 60, 74]}
    )
    found = margin(pairs)
    half = stats.t.ppf(0.975, 2) * 2 / math.sqrt(3)
    assert found.mean == pytest.approx(12)
    assert (found.low, found.high) == pytest.approx((12 - half, 12 + half))
    assert is_strong(found)
    # as accuracies in float32 have it
    assert is_strong(found._replace(mean=87.86458206176758 - 77.86458396911621))
    assert not is_strong(found._replace(mean=9.99))


@pytest.mark.parametrize("number", [0, 1])
def test_every_feature_is_read_by_the_same_fresh_classifier(
    tiny: Settings, diagnosed: pd.DataFrame, number: int
):
    """Compare with tails trained by hand on x_A, on x_B (blind spots), and on parts of g."""
    bench = Bench(tiny)
    blind, unreliable = (fits[number] for fits in plan_of(tiny, "diagnosis").cases.values())
    weak = bench.layer(blind.source, blind.source_node)
    strong = bench.layer(blind.target, blind.target_node)
    tail = fresh_tail(weak.tail, derive_seed("diagnosis", tiny.tails.seed, number))
    x_a, x_b = (layer.rows["test"].array[:] for layer in (weak, strong))
    assert (x_a.shape[1:], x_b.shape[1:]) == ((32, 6, 6), (32, 4, 4))
    seed = derive_seed("tail", tiny.tails.seed)
    features = {
        RAW: torch.from_numpy(x_a),
        GIVEN: bench.fit(blind).decompose(x_a, x_b).components.sum(0),
        WITH_BLIND: torch.from_numpy(x_b),
        RELIABLE: bench.fit(unreliable).decompose(x_b, x_a).components.sum(0),
    }
    found = diagnosed[diagnosed["chain"] == number].set_index("features")["top1"]
    for name, values in features.items():
        sized = nn.functional.interpolate(values, size=(6, 6), mode="bilinear")
        train, test = (HeldFeatures(sized[weak.rows[subset].rows]) for subset in ("train", "test"))
        trained = train_tail(
            tail, train, weak.labels["train"], tiny.tails.fresh, seed, torch.device("cpu")
        )
        right = predictions(trained.tail, test) == weak.labels["test"].numpy()
        assert found[name] == pytest.approx(100 * np.mean(right)), name
    # from fresh weights: nothing of the trained tail is left
    for name, value in tail.named_parameters():
        if value.ndim > 1:
            assert not torch.equal(value, weak.tail.get_parameter(name))


def test_fewer_channels_are_filled_with_zeros_and_more_are_kept():
    x = torch.rand(5, 2, 8, 8)
    rows = np.array([3, 1])
    found = ShapedFeatures(HeldFeatures(x), (3, 6, 6)).batch(rows)
    sized = nn.functional.interpolate(x[rows], size=(6, 6), mode="bilinear")
    assert torch.equal(found[:, :2], sized)
    assert found.shape == (2, 3, 6, 6)
    assert (found[:, 2] == 0).all()
    # nothing to change, a vector, and channels that the classifier will refuse
    assert torch.equal(ShapedFeatures(HeldFeatures(x), (2, 8, 8)).batch(rows), x[rows])
    flat = ShapedFeatures(HeldFeatures(x.flatten(1)), (130,))
    assert torch.equal(flat.batch(rows)[:, :128], x[rows].flatten(1))
    assert flat.batch(rows).shape == (2, 130)
    assert len(flat) == 5
    assert ShapedFeatures(HeldFeatures(x), (1, 8, 8)).batch(rows).shape == (2, 2, 8, 8)
