"""Diagnosis of a weak network by a strong one: blind spots, unreliable features [L20, Sec. 4.1]."""

from pathlib import Path

import pandas as pd

from kc.networks.tails import fresh_tail
from kc.plans.studies import StudyPlan
from kc.runtime import derive_seed
from kc.settings.whole import Settings
from kc.studies import printed
from kc.studies.accuracies import accuracies
from kc.studies.features import Bench
from kc.studies.fits import read_network_card
from kc.studies.reading import told

RAW, GIVEN, WITH_BLIND, RELIABLE = "raw x_A", "g(x_A)", "g(x_A) + blind spots", "g(x_B)"


def diagnosis_table(settings: Settings, plan: StudyPlan) -> pd.DataFrame:
    """Let one fresh classifier, shaped like A above its tap, read four features.

    ``g(x_A) + blind spots`` is x_B itself: blind spots are x_B - g(x_A). ``g(x_B)`` is x_A without
    its unreliable features. Below them, for comparison, both networks as they were trained.

    Columns as :func:`kc.studies.accuracies.accuracies` (gains over raw x_A), experiment, paper.
    """
    bench = Bench(settings)
    (blind,), (unreliable,) = plan.cases["blind_spots"], plan.cases["unreliable"]
    weak = bench.layer(blind.source, blind.source_node)
    strong = bench.layer(blind.target, blind.target_node)
    order = settings.consistency.order
    tail = fresh_tail(weak.tail, derive_seed("diagnosis", settings.tails.seed))
    features = {
        RAW: bench.raw(weak),
        GIVEN: bench.sums(bench.fit(blind), weak, order),
        WITH_BLIND: bench.raw(strong),
        RELIABLE: bench.sums(bench.fit(unreliable), strong, order),
    }
    recipe = settings.tails.fresh
    found = {name: told(bench, tail, some, weak.labels, recipe) for name, some in features.items()}
    frame = accuracies(found, (RAW,))
    frame.columns = [name.replace(f"gain_over_{RAW}", "gain_over_raw") for name in frame.columns]
    frame.insert(0, "experiment", "fresh classifier")
    networks = [
        read_network_card(end, Path(settings.results)) for end in (blind.source, blind.target)
    ]
    alone = pd.DataFrame(
        {
            "experiment": "network alone",
            "features": [card["architecture"] for card in networks],
            "top1": [card["accuracy"]["test"] for card in networks],
            "n": len(weak.labels["test"]),
        }
    )
    frame = pd.concat([alone, frame], ignore_index=True)
    frame["paper"] = [printed.diagnosis(name) for name in frame["features"]]
    return frame
