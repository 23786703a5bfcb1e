"""Tables of compression, born-again networks and two tasks from files whose shares are known."""

from pathlib import Path

import pandas as pd
import pytest

from kc.errors import StoreError
from kc.plans.products import FitPlan, NetworkPlan
from kc.plans.studies import plan_of
from kc.plans.study import StudyPlan
from kc.settings.load import load_settings
from kc.settings.whole import Settings
from kc.studies.born_again import born_again_table
from kc.studies.compression import compression_table
from kc.studies.cross_task import cross_task_table
from kc.studies.inconsistent import inconsistency
from tests.reference.written_fits import TARGET, card_of, write_card, write_fit, write_results

NUMBERS = {"network", "layer", "variance", "share", "share_train"}
MIX = {"mix": {"layout": "mixture", "parts": ["birds", "dogs"]}}
DATASETS = {"birds": {}, "dogs": {"layout": "dogs"}, **MIX}


def share(fit: FitPlan, subset: str) -> float:
    """Return a different share for every pair of networks, layer and subset."""
    found = 0.1 + fit.source.removed / 10 + fit.source.generation / 50
    found += 0.2 * (fit.target.task == "superclass") + 0.05 * (fit.target_layer == "conv5_3")
    return found - 0.04 * (subset == "train")


def top1(network: NetworkPlan) -> float:
    return 70.0 - 10 * network.removed + network.generation + 20 * (network.task == "superclass")


def written(tmp_path: Path, study: str, **changed: object) -> tuple[Settings, StudyPlan]:
    settings = load_settings({"results": tmp_path, "datasets": DATASETS, study: changed})
    plan = plan_of(settings, study)
    write_results(plan, tmp_path, share, top1=top1)
    return settings, plan


def close(found: "pd.Series[float]", expected: list[float]) -> bool:
    return found.tolist() == pytest.approx(expected, rel=1e-12)


def test_compression_has_the_share_that_every_pruned_network_lacks(tmp_path: Path):
    frame = compression_table(*written(tmp_path, "compression", removed=[0.5, 0.9, 0.933]))
    removed = [0.5, 0.5, 0.9, 0.9, 0.933, 0.933]
    deep = [0, 0.05] * 3
    assert NUMBERS | {"removed", "removed_share", "s_conv", "s_fc", "top1", "top1_original"} == set(
        frame.columns
    )
    assert frame["removed"].tolist() == removed
    assert close(frame["removed_share"], [some + 1e-4 for some in removed])
    assert close(frame["s_conv"], [2 * some for some in removed])
    assert close(frame["s_fc"], [3 * some for some in removed])
    assert frame["layer"].tolist() == ["conv4_3", "conv5_3"] * 3
    assert set(frame["network"]) == {"vgg16_bn"}
    expected = [0.12 + some / 10 + more for some, more in zip(removed, deep, strict=True)]
    assert close(frame["share"], expected)
    assert close(frame["share_train"], [some - 0.04 for some in expected])
    assert close(frame["variance"], [some * TARGET["test"] for some in expected])
    assert close(frame["top1"], [71 - 10 * some for some in removed])
    assert close(frame["top1_original"], [71.0] * 6)


def test_compression_keeps_numbers_with_their_network_in_any_order(tmp_path: Path):
    frame = compression_table(*written(tmp_path, "compression", removed=[0.9, 0.5, 0.8]))
    assert frame["removed"].tolist() == [0.9, 0.9, 0.5, 0.5, 0.8, 0.8]
    assert close(frame["s_conv"], [2 * some for some in frame["removed"]])
    assert close(frame["top1"], [71 - 10 * some for some in frame["removed"]])


def test_born_again_has_the_share_of_the_last_that_every_generation_lacks(tmp_path: Path):
    frame = born_again_table(*written(tmp_path, "born_again", layers=["conv5_3"]))
    assert NUMBERS | {"generation", "top1", "top1_last"} == set(frame.columns)
    assert frame["generation"].tolist() == [1, 2, 3, 4]
    assert frame["generation"].dtype == "int64"
    assert close(frame["share"], [0.17, 0.19, 0.21, 0.23])
    assert close(frame["variance"], [0.85, 0.95, 1.05, 1.15])
    assert close(frame["top1"], [71, 72, 73, 74])
    assert close(frame["top1_last"], [75] * 4)


def test_cross_task_has_the_reconstructed_share_of_both_directions(tmp_path: Path):
    frame = cross_task_table(*written(tmp_path, "cross_task", layers=["conv4_3", "conv5_3"]))
    assert (NUMBERS - {"share_train"}) | {
        "direction", "reconstructed", "reconstructed_train", "source_top1", "target_top1",
    } == set(frame.columns)  # fmt: skip
    assert frame["direction"].tolist() == ["b_from_a", "b_from_a", "a_from_b", "a_from_b"]
    assert frame["layer"].tolist() == ["conv4_3", "conv5_3"] * 2
    # B, of two labels, is the target of the first two: a fifth more of it is not reconstructed
    assert close(frame["share"], [0.32, 0.37, 0.12, 0.17])
    assert close(frame["reconstructed"], [0.68, 0.63, 0.88, 0.83])
    assert close(frame["reconstructed_train"], [0.72, 0.67, 0.92, 0.87])
    assert close(frame["source_top1"], [71, 71, 91, 91])
    assert close(frame["target_top1"], [91, 91, 71, 71])


def test_released_takes_its_own_centring(tmp_path: Path):
    network = NetworkPlan("birds", "alexnet", 0)
    fit = FitPlan(network, NetworkPlan("birds", "alexnet", 1), "conv4", "conv4")
    plan = StudyPlan({"one": (fit,)})
    found = {}
    for preset in ("paper", "released"):
        write_results(plan, tmp_path / preset, share, preset)
        found[preset] = inconsistency(fit, tmp_path / preset)
    assert found["paper"]["variance"] == pytest.approx(0.12 * TARGET["test"])
    assert found["released"]["variance"] == pytest.approx(0.06 * TARGET["test"])
    assert found["released"]["share"] == pytest.approx(found["paper"]["share"])


@pytest.mark.parametrize("study", ["compression", "born_again", "cross_task"])
def test_a_missing_fit_or_network_is_named(tmp_path: Path, study: str):
    settings, plan = written(tmp_path, study)
    table = {
        "compression": compression_table,
        "born_again": born_again_table,
        "cross_task": cross_task_table,
    }[study]
    network = tmp_path / "networks" / plan.fits[-1].source.name / "card.json"
    network.rename(network.with_suffix(".aside"))
    with pytest.raises(StoreError, match="expected the network") as caught:
        table(settings, plan)
    assert str(network) in str(caught.value)
    network.with_suffix(".aside").rename(network)
    assert len(table(settings, plan)) == len(plan.fits)
    (tmp_path / "fits" / plan.fits[-1].name / "variances.csv").unlink()
    with pytest.raises(StoreError, match="expected the variances of the fit"):
        table(settings, plan)


def test_the_other_directions_fit_is_refused(tmp_path: Path):
    settings, plan = written(tmp_path, "cross_task")
    wrong = plan.cases["a_from_b"][0]
    folder = tmp_path / "fits" / plan.cases["b_from_a"][0].name
    write_card(folder, card_of(wrong))
    with pytest.raises(StoreError, match="expected the fit from mix-vgg16_bn-seed0 conv4_3 to"):
        cross_task_table(settings, plan)


def test_a_fit_of_another_superclass_is_refused(tmp_path: Path):
    a, b = (NetworkPlan("mix", "alexnet", seed) for seed in (0, 1))
    birds, dogs = (FitPlan(a, b, "conv4", "conv4", only=name) for name in ("bird", "dog"))
    assert birds.name != dogs.name
    write_fit(dogs, tmp_path, share)
    write_card(tmp_path / "fits" / dogs.name, card_of(birds))
    with pytest.raises(StoreError, match="expected the fit from"):
        inconsistency(dogs, tmp_path)
