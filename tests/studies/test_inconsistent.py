"""Tables of compression, born-again networks and two tasks from files whose shares are known."""

import math
from pathlib import Path

import pandas as pd
import pytest
from scipy import stats

from kc.errors import StoreError
from kc.plans.products import FitPlan, NetworkPlan
from kc.plans.studies import plan_of
from kc.plans.study import StudyPlan
from kc.settings.load import load_settings
from kc.settings.whole import Settings
from kc.studies.born_again import born_again_chains, born_again_claims, born_again_table
from kc.studies.compression import compression_chains, compression_claims, compression_table
from kc.studies.cross_task import cross_task_chains, cross_task_claim, cross_task_table
from kc.studies.inconsistent import inconsistency
from tests.reference.written_fits import TARGET, card_of, write_card, write_fit, write_results

NUMBERS = {"chain", "network", "layer", "variance", "share", "share_train"}
MIX = {"mix": {"layout": "mixture", "parts": ["birds", "dogs"]}}
DATASETS = {"birds": {}, "dogs": {"layout": "dogs"}, **MIX}


LONGER = {0: 1.0, 1: 1.5, 2: 2.0}
"""Factor on the shares of each chain."""


def share(fit: FitPlan, subset: str) -> float:
    """Return a different share for every pair of networks, layer and subset."""
    found = 0.1 + fit.source.removed / 10 - fit.source.generation / 100
    found += 0.1 * (fit.target.task == "superclass") + 0.05 * (fit.target_layer == "conv5_3")
    return LONGER[fit.target.seed] * found - 0.04 * (subset == "train")


def top1(network: NetworkPlan) -> float:
    found = 70.0 - 10 * network.removed + network.generation + 20 * (network.task == "superclass")
    return found + network.seed


def written(tmp_path: Path, study: str, **changed: object) -> tuple[Settings, StudyPlan]:
    settings = load_settings({"results": tmp_path, "datasets": DATASETS, study: changed})
    plan = plan_of(settings, study)
    write_results(plan, tmp_path, share, top1=top1)
    return settings, plan


def close(found: "pd.Series[float]", expected: list[float]) -> bool:
    return found.tolist() == pytest.approx(expected, rel=1e-12)


def test_compression_has_the_share_that_every_pruned_network_lacks(tmp_path: Path):
    frame = compression_chains(
        *written(tmp_path, "compression", removed=[0.5, 0.9], layers=["conv4_3", "conv5_3"])
    )
    removed = [0.5] * 6 + [0.9] * 6
    chain = [0, 0, 1, 1, 2, 2] * 2
    assert NUMBERS | {"removed", "removed_share", "s_conv", "s_fc", "top1", "top1_original"} == set(
        frame.columns
    )
    assert frame["removed"].tolist() == removed
    assert frame["chain"].tolist() == chain
    assert close(frame["removed_share"], [some + 1e-4 for some in removed])
    assert close(frame["s_conv"], [2 * some for some in removed])
    assert close(frame["s_fc"], [3 * some for some in removed])
    assert frame["layer"].tolist() == ["conv4_3", "conv5_3"] * 6
    assert set(frame["network"]) == {"vgg16_bn"}
    expected = [
        LONGER[seed] * (0.09 + some / 10 + more)
        for some, seed, more in zip(removed, chain, [0, 0.05] * 6, strict=True)
    ]
    assert close(frame["share"], expected)
    assert close(frame["share_train"], [some - 0.04 for some in expected])
    assert close(frame["variance"], [some * TARGET["test"] for some in expected])
    of_chain = zip(removed, chain, strict=True)
    assert close(frame["top1"], [71 - 10 * some + seed for some, seed in of_chain])
    assert close(frame["top1_original"], [71 + seed for seed in chain])


def test_a_table_averages_three_chains_with_intervals_computed_by_hand(tmp_path: Path):
    chains = compression_chains(
        *written(tmp_path, "compression", removed=[0.9, 0.5], layers=["conv4_3"])
    )
    table = compression_table(chains)
    assert table["removed"].tolist() == [0.9, 0.5]
    assert table["n"].tolist() == [3, 3]
    assert close(table["s_conv"], [1.8, 1.0])
    # 0.18 x (1, 1.5, 2): mean 0.27, standard deviation 0.09
    assert table["share"][0] == pytest.approx(0.27)
    factor = math.exp(stats.t.ppf(0.975, 2) * 0.09 / math.sqrt(3) / 0.27)
    assert table["ci_low"][0] == pytest.approx(0.27 / factor)
    assert table["ci_high"][0] == pytest.approx(0.27 * factor)
    assert table["variance_low"][0] == pytest.approx(TARGET["test"] * 0.27 / factor)
    half = stats.t.ppf(0.975, 2) / math.sqrt(3)  # accuracies of 62, 63, 64
    assert table["top1"][0] == pytest.approx(63)
    assert (table["top1_low"][0], table["top1_high"][0]) == pytest.approx((63 - half, 63 + half))


def test_two_chains_have_no_interval(tmp_path: Path):
    chains = compression_chains(*written(tmp_path, "compression", seeds=[0, 1]))
    table = compression_table(chains)
    assert table[["ci_low", "ci_high", "top1_low", "variance_high"]].isna().all(axis=None)
    assert set(table["n"]) == {2}
    assert "no interval with n = 2" in compression_claims(chains)[0].sentence()


def test_compression_keeps_numbers_with_their_network_in_any_order(tmp_path: Path):
    plan = written(tmp_path, "compression", removed=[0.9, 0.5, 0.8], seeds=[2])
    frame = compression_chains(*plan)
    assert frame["removed"].tolist() == [0.9, 0.9, 0.5, 0.5, 0.8, 0.8]
    assert close(frame["s_conv"], [2 * some for some in frame["removed"]])
    assert close(frame["top1"], [73 - 10 * some for some in frame["removed"]])


def test_born_again_has_the_share_of_the_last_that_every_generation_lacks(tmp_path: Path):
    frame = born_again_chains(*written(tmp_path, "born_again", layers=["conv5_3"]))
    assert NUMBERS | {"generation", "top1", "top1_last"} == set(frame.columns)
    assert frame["generation"].tolist() == [1] * 3 + [2] * 3 + [3] * 3 + [4] * 3
    assert frame["generation"].dtype == "int64"
    first = frame[frame["chain"] == 0]
    assert close(first["share"], [0.14, 0.13, 0.12, 0.11])
    assert close(first["variance"], [0.70, 0.65, 0.60, 0.55])
    assert close(first["top1"], [71, 72, 73, 74])
    assert close(first["top1_last"], [75] * 4)
    table = born_again_table(frame)
    assert close(table["share"], [0.21, 0.195, 0.18, 0.165])
    assert close(table["top1"], [72, 73, 74, 75])
    assert table["generation"].tolist() == [1, 2, 3, 4]


def test_cross_task_has_the_reconstructed_share_of_both_directions(tmp_path: Path):
    frame = cross_task_chains(*written(tmp_path, "cross_task", layers=["conv4_3", "conv5_3"]))
    assert NUMBERS | {
        "direction", "reconstructed", "reconstructed_train", "source_top1", "target_top1",
    } == set(frame.columns)  # fmt: skip
    assert frame["direction"].tolist() == ["b_from_a"] * 6 + ["a_from_b"] * 6
    assert frame["layer"].tolist() == ["conv4_3", "conv5_3"] * 6
    # B, of two labels, is the target of the first: a tenth more of it is not reconstructed
    first = frame[frame["chain"] == 0]
    assert close(first["share"], [0.19, 0.24, 0.09, 0.14])
    assert close(first["reconstructed"], [0.81, 0.76, 0.91, 0.86])
    assert close(first["reconstructed_train"], [0.85, 0.80, 0.95, 0.90])
    assert close(first["source_top1"], [71, 71, 91, 91])
    assert close(first["target_top1"], [91, 91, 71, 71])
    table = cross_task_table(frame)
    assert close(table["reconstructed"], [1 - 1.5 * some for some in (0.19, 0.24, 0.09, 0.14)])
    for end, of in (("low", "high"), ("high", "low")):
        assert close(table[f"reconstructed_{end}"], (1 - table[f"ci_{of}"]).tolist())
    assert (table["reconstructed_low"] < table["reconstructed"]).all()


# verdicts


def test_claims_on_compression_have_the_effects_computed_by_hand(tmp_path: Path):
    chains = compression_chains(
        *written(tmp_path, "compression", removed=[0.5, 0.7, 0.9], layers=["conv4_3"])
    )
    lost, accuracy = (claim.sentence() for claim in compression_claims(chains))
    # 0.04 x (1, 1.5, 2) more is lost; 4 points of top-1 over 0.04, 0.06, 0.08 of Var(x*)
    half = stats.t.ppf(0.975, 2) * 0.02 / math.sqrt(3)
    assert f"shows: conv4_3 +0.060 [{0.06 - half:+.3f}, {0.06 + half:+.3f}]." in lost
    assert "90.0% minus 50.0%" in lost
    slopes = [10, 4 / 0.6, 5]
    mean = sum(slopes) / 3
    assert f"conv4_3 {mean:+.1f} [" in accuracy
    # one removed share has no slope
    assert compression_claims(chains[chains["removed"] == 0.5]) == []


def test_claims_on_generations_have_the_effects_computed_by_hand(tmp_path: Path):
    chains = born_again_chains(*written(tmp_path, "born_again", layers=["conv4_3"]))
    fewer, better = (claim.sentence() for claim in born_again_claims(chains))
    half = stats.t.ppf(0.975, 2) * 0.005 / math.sqrt(3)  # a fall of 0.01 x (1, 1.5, 2)
    assert f"shows: conv4_3 +0.015 [{0.015 - half:+.3f}, {0.015 + half:+.3f}]." in fewer
    assert "shows: last minus first +4.0 [+4.0, +4.0]." in better
    worse = chains.assign(share=1 - chains["share"])
    assert "does not show: conv4_3 -0.015 [" in born_again_claims(worse)[0].sentence()


def test_the_claim_on_two_tasks_compares_directions_within_each_pair(tmp_path: Path):
    chains = cross_task_chains(*written(tmp_path, "cross_task", layers=["conv4_3"]))
    claim = cross_task_claim(chains).sentence()
    half = stats.t.ppf(0.975, 2) * 0.05 / math.sqrt(3)  # -0.1 x (1, 1.5, 2)
    assert f"does not show: conv4_3 -0.150 [{-0.15 - half:+.3f}, {-0.15 + half:+.3f}]." in claim


def test_released_takes_its_own_centring(tmp_path: Path):
    network = NetworkPlan("birds", "alexnet", 0)
    fit = FitPlan(network, NetworkPlan("birds", "alexnet", 1), "conv4", "conv4")
    plan = StudyPlan({"one": (fit,)})
    found = {}
    for preset in ("paper", "released"):
        write_results(plan, tmp_path / preset, share, preset)
        found[preset] = inconsistency(fit, tmp_path / preset)
    expected = share(fit, "test") * TARGET["test"]
    assert found["paper"]["variance"] == pytest.approx(expected)
    assert found["released"]["variance"] == pytest.approx(expected / 2)
    assert found["released"]["share"] == pytest.approx(found["paper"]["share"])


@pytest.mark.parametrize("study", ["compression", "born_again", "cross_task"])
def test_a_missing_fit_or_network_is_named(tmp_path: Path, study: str):
    settings, plan = written(tmp_path, study)
    table = {
        "compression": compression_chains,
        "born_again": born_again_chains,
        "cross_task": cross_task_chains,
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
        cross_task_chains(settings, plan)


def test_a_fit_of_another_superclass_is_refused(tmp_path: Path):
    a, b = (NetworkPlan("mix", "alexnet", seed) for seed in (0, 1))
    birds, dogs = (FitPlan(a, b, "conv4", "conv4", only=name) for name in ("bird", "dog"))
    assert birds.name != dogs.name
    write_fit(dogs, tmp_path, share)
    write_card(tmp_path / "fits" / dogs.name, card_of(birds))
    with pytest.raises(StoreError, match="expected the fit from"):
        inconsistency(dogs, tmp_path)
