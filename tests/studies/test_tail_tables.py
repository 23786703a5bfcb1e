"""Tables 3 and 4 and the diagnosis, from a small real pipeline."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from kc.networks.tails import HeldFeatures, fresh_tail, predictions, train_tail
from kc.plans.studies import plan_of
from kc.plans.study import StudyPlan
from kc.runtime import derive_seed
from kc.settings.whole import Settings
from kc.studies.accuracies import accuracies
from kc.studies.diagnosis import GIVEN, RAW, RELIABLE, WITH_BLIND, diagnosis_table
from kc.studies.features import Bench
from kc.studies.fits import read_network_card
from kc.studies.reading import read_by_b
from kc.studies.redundancy import redundancy_table
from kc.studies.refinement import refinement_table

ACCURACY = {"features", "network", "layer", "top1", "ci_low", "ci_high", "n", "paper"}
GAINS = [f"gain_over_{name}{end}" for name in "AB" for end in ("", "_low", "_high")]
TEST_IMAGES, TEST_DOGS = 40, 16


@pytest.fixture(scope="module")
def diagnosed(tiny: Settings) -> pd.DataFrame:
    return diagnosis_table(tiny, plan_of(tiny, "diagnosis"))


def renamed(plan: StudyPlan, task: str) -> StudyPlan:
    """Rename a task, as a settings file may do."""
    (fits,) = plan.cases.values()
    return StudyPlan({task: fits}, stores=True)


def test_table3_has_a_row_for_each_feature_with_its_accuracy(tiny: Settings):
    plan = plan_of(tiny, "refinement")
    frame = refinement_table(tiny, plan)
    assert ACCURACY | set(GAINS) == set(frame.columns)
    assert frame["features"].tolist() == ["A", "B", "x0", "x0+x1", "x0+x1+x2"]
    assert set(zip(frame["network"], frame["layer"], strict=True)) == {("alexnet", "conv5")}
    assert frame["n"].tolist() == [TEST_IMAGES] * 5
    assert frame["paper"].isna().all()  # the paper has no AlexNet in Table 3
    found = read_by_b(Bench(tiny), plan.fits[0], range(3))
    assert frame["top1"].tolist() == [100 * found[name].mean() for name in frame["features"]]
    expected = accuracies(found, ("A", "B"))
    pd.testing.assert_frame_equal(frame[list(expected.columns)], expected)


def test_table3_of_fewer_orders_has_fewer_sums(tiny: Settings):
    fewer = tiny.consistency.model_copy(update={"order": 1})
    frame = refinement_table(
        tiny.model_copy(update={"consistency": fewer}), plan_of(tiny, "refinement")
    )
    assert frame["features"].tolist() == ["A", "B", "x0", "x0+x1"]


def test_table4_uses_only_the_images_of_the_task(tiny: Settings):
    plan = plan_of(tiny, "redundancy")
    frame = redundancy_table(tiny, plan)
    assert {"task"} | ACCURACY | set(GAINS) == set(frame.columns)
    assert frame["task"].tolist() == ["mix_dogs"] * 3
    assert frame["features"].tolist() == ["A", "B", "x0+x1+x2"]
    assert frame["n"].tolist() == [TEST_DOGS] * 3
    found = read_by_b(Bench(tiny), plan.cases["mix_dogs"][0], [2])
    assert frame["top1"].tolist() == [100 * found[name].mean() for name in frame["features"]]


def test_every_task_has_its_rows(tiny: Settings):
    plan = plan_of(tiny, "redundancy")
    twice = StudyPlan({**plan.cases, **renamed(plan, "again").cases}, stores=True)
    frame = redundancy_table(tiny, twice)
    assert frame["task"].tolist() == ["mix_dogs"] * 3 + ["again"] * 3
    assert frame.index.tolist() == list(range(6))
    assert frame["top1"].tolist()[:3] == frame["top1"].tolist()[3:]


def test_diagnosis_has_rows_for_both_networks_and_four_features(
    tiny: Settings, diagnosed: pd.DataFrame
):
    assert {"experiment", "features", "top1", "ci_low", "ci_high", "n", "paper"} | {
        "gain_over_raw", "gain_over_raw_low", "gain_over_raw_high",
    } == set(diagnosed.columns)  # fmt: skip
    assert diagnosed["features"].tolist() == [
        "alexnet", "resnet18", RAW, GIVEN, WITH_BLIND, RELIABLE,
    ]  # fmt: skip
    assert diagnosed["experiment"].tolist() == ["network alone"] * 2 + ["fresh classifier"] * 4
    blind = plan_of(tiny, "diagnosis").cases["blind_spots"][0]
    cards = [read_network_card(end, tiny.results) for end in (blind.source, blind.target)]
    assert diagnosed["top1"].tolist()[:2] == [card["accuracy"]["test"] for card in cards]
    assert diagnosed["n"].tolist() == [TEST_IMAGES] * 6
    assert diagnosed.loc[:1, "ci_low"].isna().all()
    assert diagnosed.loc[2:, ["ci_low", "ci_high", "gain_over_raw"]].notna().all(axis=None)
    paper = diagnosed.set_index("features")["paper"].to_dict()
    assert (paper["alexnet"], paper[RAW], paper[RELIABLE]) == (56.97, 60.3, 65.6)
    assert math.isnan(paper["resnet18"])  # the paper's strong one is ResNet-34
    assert math.isnan(paper[GIVEN])


def test_gains_of_the_diagnosis_are_over_the_raw_feature(diagnosed: pd.DataFrame):
    fresh = diagnosed[diagnosed["experiment"] == "fresh classifier"].set_index("features")
    for name in fresh.index:
        gain = fresh["top1"][name] - fresh["top1"][RAW]
        assert fresh["gain_over_raw"][name] == pytest.approx(gain)
    assert (fresh["gain_over_raw_low"][RAW], fresh["gain_over_raw_high"][RAW]) == (0, 0)


def test_every_feature_is_read_by_the_same_fresh_classifier(
    tiny: Settings, diagnosed: pd.DataFrame
):
    """Compare with tails trained by hand on x_A, on x_B (blind spots), and on parts of g."""
    bench = Bench(tiny)
    blind, unreliable = plan_of(tiny, "diagnosis").fits
    weak = bench.layer(blind.source, blind.source_node)
    strong = bench.layer(blind.target, blind.target_node)
    tail = fresh_tail(weak.tail, derive_seed("diagnosis", tiny.tails.seed))
    x_a, x_b = (layer.rows["test"].array[:] for layer in (weak, strong))
    seed = derive_seed("tail", tiny.tails.seed)
    features = {
        RAW: torch.from_numpy(x_a),
        GIVEN: bench.fit(blind).decompose(x_a, x_b).components.sum(0),
        WITH_BLIND: torch.from_numpy(x_b),
        RELIABLE: bench.fit(unreliable).decompose(x_b, x_a).components.sum(0),
    }
    for name, values in features.items():
        train, test = (HeldFeatures(values[weak.rows[subset].rows]) for subset in ("train", "test"))
        trained = train_tail(
            tail, train, weak.labels["train"], tiny.tails.fresh, seed, torch.device("cpu")
        )
        right = predictions(trained.tail, test) == weak.labels["test"].numpy()
        told = diagnosed.set_index("features")["top1"][name]
        assert told == pytest.approx(100 * np.mean(right)), name
    # from fresh weights: nothing of the trained tail is left
    for name, value in tail.named_parameters():
        if value.ndim > 1:
            assert not torch.equal(value, weak.tail.get_parameter(name))
