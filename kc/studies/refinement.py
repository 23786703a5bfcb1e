"""Refine features: B's tail on B's features reconstructed from A's [L20, Sec. 5, Table 3]."""

import pandas as pd

from kc.plans.records.refinement import Refinement
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
from kc.studies.wording import OVER_NETWORKS, ROLES, SAME_BASELINES, pairs_note

BY = ("network", "layer", "features")


def refinement_pairs(settings: Settings, plan: StudyPlan) -> pd.DataFrame:
    """Compute the accuracies of Table 3 for each pair: see :func:`pair_accuracies`."""
    readings = Readings(Bench(settings))
    orders = range(settings.consistency.order + 1)
    return pd.concat(
        [
            pair_accuracies(fit, readings.of_pair(fit, orders), readings.as_trained(fit))
            for fit in plan.fits
        ],
        ignore_index=True,
    )


def refinement_table(pairs: pd.DataFrame) -> pd.DataFrame:
    """Compute Table 3 from its pairs: one row for each network, layer and features.

    Columns: those of :func:`kc.studies.gains.mean_accuracies`, paper, and paper_gain (over B).
    """
    frame = mean_accuracies(pairs, BY, OWN, over_pairs)
    return with_paper(frame, ("features", "network", "layer"), printed.table3, "B")


def write(settings: Settings) -> None:
    """Write ``tables/table3``, ``tables/table3_pairs`` and ``figures/table3``."""
    plan = plan_of(settings, "refinement")
    study, recipe = settings.of(Refinement), settings.tails.refine
    pairs = refinement_pairs(settings, plan)
    table = refinement_table(pairs)
    claims = refinement_claims(pairs)
    notes = [
        *sentences(claims),
        pairs_note(study.seeds, study.pairs),
        OVER_NETWORKS,
        ROLES,
        "x0, x0+x1, ... are partial sums of one fit of g, read by B's tail. A, B: their own "
        "features, read by their own tails. A_as_trained, B_as_trained: the networks without "
        "further training ([L19], footnote 3).",
        "All other tails are trained further from their trained weights, by one "
        "recipe on the same batches; everything below the tap stays fixed, and so does g.",
        f"That recipe: Adam, {recipe.first_rate:g} to {recipe.last_rate:g} log-spaced over "
        f"{recipe.epochs} epochs (the paper: 1e-5 to 1e-7 over 100).",
        SAME_BASELINES,
    ]
    text = TableText(
        title="Table 3: refined features",
        caption="Top-1 accuracy on features of a network (A, B), and on B's as g reconstructs "
        "them from A's; paper: the values printed in [L20, Table 3].",
        notes=notes,
    )
    about = GainsOf("refinement", BY[:-1], "gain_over_B", sums_shown(table))
    write_gains(settings, plan, text, (table, pairs), about, claims)


def refinement_claims(pairs: pd.DataFrame) -> list[Claim]:
    """Compare the paper's claim with the gains of all components together."""
    refined = pairs["features"].iloc[-1]
    told = {
        "B": ("[L20, Table 3]", "trained further"),
        "B_as_trained": ("[L19, Table 3]", "not trained further"),
    }
    return [
        Claim(
            source,
            f"refined features ({refined}) classify better than own ones, baselines {what}",
            "gain in points",
            effects_by(
                gains_over(pairs, BY[:-1], refined, own), ["network", "layer"], "gain", over_pairs
            ),
        )
        for own, (source, what) in told.items()
    ]
