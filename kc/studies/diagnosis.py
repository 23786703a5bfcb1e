"""Diagnose a weak network by a strong one: blind spots, unreliable features [L20, Sec. 4.1]."""

import pandas as pd

from kc.networks.tails import fresh_tail
from kc.plans.records.diagnosis import Diagnosis
from kc.plans.studies import plan_of
from kc.plans.study import StudyPlan
from kc.report.tables import TableText
from kc.runtime import derive_seed
from kc.settings.whole import Settings
from kc.studies import printed
from kc.studies.accuracies import accuracies
from kc.studies.components import draw_components
from kc.studies.features import Bench
from kc.studies.fits import read_network_card
from kc.studies.origin import write_study_table
from kc.studies.reading import train_and_test
from kc.studies.wording import ACCURACY, TEST_BOOTSTRAP

RAW, GIVEN, WITH_BLIND, RELIABLE = "raw x_A", "g(x_A)", "g(x_A) + blind spots", "g(x_B)"


def diagnosis_table(settings: Settings, plan: StudyPlan) -> pd.DataFrame:
    """Train one fresh classifier, with the layers of A above its tap, on four features.

    ``g(x_A) + blind spots`` is x_B itself: blind spots are x_B - g(x_A). ``g(x_B)`` is x_A without
    its unreliable features. Both networks as trained come first, for comparison.

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
    found = {
        name: train_and_test(bench, tail, some, weak.labels, recipe)
        for name, some in features.items()
    }
    frame = accuracies(found, (RAW,))
    frame.columns = [name.replace(f"gain_over_{RAW}", "gain_over_raw") for name in frame.columns]
    frame.insert(0, "experiment", "fresh classifier")
    networks = [read_network_card(end, settings.results) for end in (blind.source, blind.target)]
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


def write(settings: Settings) -> None:
    """Write ``tables/diagnosis`` and ``figures/fig3_*`` under the results folder."""
    plan = plan_of(settings, "diagnosis")
    study, recipe = settings.of(Diagnosis), settings.tails.fresh
    notes = [
        f"A is the weak network ({study.weak}, {study.weak_layer}), B the strong one "
        f"({study.strong}, {study.strong_layer}).",
        "Blind spots of A: x_B - g(x_A), so g(x_A) + blind spots is x_B by definition. Unreliable "
        "features of A: x_A - g(x_B); g(x_B) is x_A without them.",
        "Fresh classifier: A's layers above the tap, all from the same fresh weights, by SGD "
        f"({recipe.epochs} epochs, up to {recipe.peak_rate:g}); nothing below is trained. The "
        "paper gives no recipe.",
        "The paper prints 60.3 for raw x_A in its second experiment and takes 56.97, the network "
        "itself, in its first; its gain from blind spots, 16.1 points, is the difference between "
        "the two networks.",
        TEST_BOOTSTRAP,
    ]
    table = diagnosis_table(settings, plan)
    weak, strong = table["top1"][:2]
    if weak >= strong:
        notes.insert(
            1,
            f"Here A is not the weaker one ({weak:.1f} against {strong:.1f} %), so this run cannot "
            "test what the paper claims of a weak and a strong network.",
        )
    write_study_table(
        settings,
        "diagnosis",
        plan,
        table,
        TableText(
            title="Diagnosis of a weak network by a strong one",
            caption="Top-1 accuracy of both networks, and of one classifier on four features; "
            "paper: the values printed in [L20, Sec. 4.1].",
            notes=notes,
        ),
        ACCURACY,
    )
    what = (
        "Diagnosis: x$^\\Delta$ is what the other network does not know: blind spots of the weak "
    )
    what += "network if x* is the strong one's, unreliable features if x* is its own."
    draw_components(settings, "diagnosis", plan, "parts", what)
