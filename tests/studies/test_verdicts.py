"""Verdicts on claims: the sign of the interval decides, and what could have been seen is said."""

import math

import pandas as pd
import pytest
from scipy import stats

from kc.studies.averages import over_chains
from kc.studies.intervals import over_groups
from kc.studies.verdicts import EXPLAINED, Claim, effects_by, sentences


def test_a_verdict_sorts_cases_by_what_their_intervals_exclude():
    three = ["a", "b", "c"]
    effects = {
        "one": over_groups(three, [3.0, 3.1, 3.2]),
        "two": over_groups(three, [-3.0, -3.1, -3.2]),
        "three": over_groups(three, [-1.0, 0.0, 1.3]),
        "four": over_groups(["a", "b"], [1.0, 2.0]),
    }
    found = Claim("[P]", "it is better", "gain in points", effects).sentence()
    error = pd.Series([-1.0, 0.0, 1.3]).std() / math.sqrt(3)
    smallest = stats.t.ppf([0.975, 0.8], 2).sum() * error
    assert found == (
        "Claim: it is better (gain in points): shows: one +3.1 [+2.9, +3.3]; does not show: two "
        "-3.1 [-3.3, -2.9]; cannot tell: three +0.1 [-2.8, +3.0] "
        f"(from {smallest:.1f} it would be seen), "
        "four +1.5 (no interval with n = 2)."
    )
    assert "(t.975 + t.8) standard errors" in EXPLAINED


def test_a_claim_with_one_answer_has_one_word():
    effects = {"x": over_groups(["a", "b", "c"], [0.1, 0.2, 0.3])}
    claim = Claim("[P]", "it grows", "share", effects, "+.3f")
    told = "Claim: it grows (share): cannot tell: x +0.200 [-0.048, +0.448]"
    assert claim.sentence() == f"{told} (from 0.310 it would be seen)."
    assert sentences([claim]) == [claim.sentence(), EXPLAINED]
    assert sentences([]) == []


def test_effects_are_averaged_for_each_case():
    frame = pd.DataFrame(
        {"chain": [0, 1, 2] * 2, "network": "vgg", "layer": ["conv4"] * 3 + ["conv5"] * 3}
        | {"gain": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}
    )
    found = effects_by(frame, ["network", "layer"], "gain", over_chains)
    assert {case: some.mean for case, some in found.items()} == pytest.approx(
        {"vgg conv4": 2, "vgg conv5": 5}
    )
