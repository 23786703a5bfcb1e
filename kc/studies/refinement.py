"""Refine features: B's tail on B's features reconstructed from A's [L20, Sec. 5, Table 3]."""

import pandas as pd

from kc.plans.studies import plan_of
from kc.plans.study import StudyPlan
from kc.report.tables import TableText
from kc.settings.whole import Settings
from kc.studies import printed
from kc.studies.accuracies import accuracies
from kc.studies.features import Bench
from kc.studies.origin import write_study_table
from kc.studies.reading import read_by_b
from kc.studies.wording import ACCURACY, TEST_BOOTSTRAP


def refinement_table(settings: Settings, plan: StudyPlan) -> pd.DataFrame:
    """Compute Table 3: one row for each network, layer and features.

    Columns as :func:`kc.studies.accuracies.accuracies` (gains over A and B), network, layer, paper.
    """
    bench = Bench(settings)
    frames = []
    for fit in plan.fits:
        found = read_by_b(bench, fit, range(settings.consistency.order + 1))
        frame = accuracies(found, ("A", "B"))
        network, layer = fit.target.architecture, fit.target_layer
        frame.insert(1, "network", network)
        frame.insert(2, "layer", layer)
        frame["paper"] = [printed.table3(name, network, layer) for name in frame["features"]]
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def write(settings: Settings) -> None:
    """Write ``tables/table3`` under the results folder."""
    plan = plan_of(settings, "refinement")
    recipe = settings.tails.refine
    notes = [
        "A reconstructs B's feature; x0, x0+x1, ... are partial sums of that one fit, read by B's "
        "tail. A, B: their own features, read by their own tails.",
        "All tails, the baselines' too, are trained further from their trained weights, by one "
        "recipe on the same batches; everything below the tap stays fixed, and so does g.",
        f"That recipe: Adam, {recipe.first_rate:g} to {recipe.last_rate:g} log-spaced over "
        f"{recipe.epochs} epochs (the paper: 1e-5 to 1e-7 over 100).",
        TEST_BOOTSTRAP,
    ]
    write_study_table(
        settings,
        "refinement",
        plan,
        refinement_table(settings, plan),
        TableText(
            title="Table 3: refined features",
            caption="Top-1 accuracy on features of a network (A, B), and on B's as g reconstructs "
            "them from A's; paper: the values printed in [L20, Table 3].",
            notes=notes,
        ),
        ACCURACY,
    )
