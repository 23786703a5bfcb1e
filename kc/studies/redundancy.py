"""Remove redundant features: trained on all classes, tested on some [L20, Sec. 5, Table 4]."""

import pandas as pd

from kc.plans.records.redundancy import Redundancy
from kc.plans.studies import plan_of
from kc.plans.study import StudyPlan
from kc.report.tables import TableText
from kc.settings.whole import Settings
from kc.studies import printed
from kc.studies.averages import over_pairs
from kc.studies.features import Bench
from kc.studies.gains import (
    OWN,
    GainsOf,
    gains_over,
    mean_accuracies,
    pair_accuracies,
    sums_shown,
    with_paper,
    write_gains,
)
from kc.studies.reading import Readings
from kc.studies.verdicts import Claim, effects_by, sentences
from kc.studies.wording import OVER_NETWORKS, ROLES, pairs_note

BY = ("task", "network", "layer", "features")


def redundancy_pairs(settings: Settings, plan: StudyPlan) -> pd.DataFrame:
    """Compute the accuracies of Table 4 for each pair: see :func:`pair_accuracies`, and task.

    g is fitted without labels on the task's images only; tails and baselines are trained on them.
    """
    readings = Readings(Bench(settings))
    frames = []
    for task, fits in plan.cases.items():
        for fit in fits:
            found = readings.of_pair(fit, [settings.consistency.order])
            frame = pair_accuracies(fit, found, readings.as_trained(fit))
            frame.insert(0, "task", task)
            frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def redundancy_table(pairs: pd.DataFrame) -> pd.DataFrame:
    """Compute Table 4 from its pairs: one row for each task, network, layer and features.

    Columns: those of :func:`kc.studies.gains.mean_accuracies`, paper, and paper_gain (over B).
    """
    frame = mean_accuracies(pairs, BY, OWN, over_pairs)
    return with_paper(frame, ("features", "network", "layer", "task"), printed.table4, "B")


def write(settings: Settings) -> None:
    """Write ``tables/table4``, ``tables/table4_pairs`` and ``figures/table4``."""
    plan = plan_of(settings, "redundancy")
    study = settings.of(Redundancy)
    spelled = "; ".join(f"{k}: {v.superclass} in {v.dataset}" for k, v in study.tasks.items())
    pairs = redundancy_pairs(settings, plan)
    table = redundancy_table(pairs)
    claims = [redundancy_claim(pairs)]
    notes = [
        *sentences(claims),
        pairs_note(study.seeds, study.pairs),
        OVER_NETWORKS,
        ROLES,
        f"Networks A and B are trained on all classes; the tasks are some of them ({spelled}). "
        "g is fitted without labels on the task's training images only.",
        "Tails keep the last layer's rows of the task's classes and are trained further on the "
        "task's training images, the baselines A and B too, by one recipe on the same batches. "
        "A_as_trained, B_as_trained: without this training, the best of the task's classes.",
    ]
    text = TableText(
        title="Table 4: features without redundancy",
        caption="Top-1 accuracy on some of the classes, from features of networks trained on "
        "all of them (A, B), and from B's as g reconstructs them from A's; paper: the "
        "values printed in [L20, Table 4].",
        notes=notes,
    )
    about = GainsOf("redundancy", BY[:-1], "gain_over_B", sums_shown(table))
    write_gains(settings, plan, text, (table, pairs), about, claims)


def redundancy_claim(pairs: pd.DataFrame) -> Claim:
    """Compare the paper's claim with the gains over baselines."""
    clean = pairs["features"].iloc[-1]
    gains = gains_over(pairs, BY[:-1], clean, "B")
    return Claim(
        "[L20, Table 4]",
        f"features without redundancy ({clean}) classify better than own ones",
        "gain in points",
        effects_by(gains, list(BY[:-1]), "gain", over_pairs),
    )
