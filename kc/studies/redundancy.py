"""Redundant features: trained on all classes, read for a part of them [L20, Sec. 5, Table 4]."""

import pandas as pd

from kc.plans.studies import StudyPlan
from kc.settings.whole import Settings
from kc.studies import printed
from kc.studies.accuracies import accuracies
from kc.studies.features import Bench
from kc.studies.reading import read_by_b


def redundancy_table(settings: Settings, plan: StudyPlan) -> pd.DataFrame:
    """Make Table 4: a row a task, network, layer and features.

    g is fitted without labels on the task's images only; tails and baselines are trained on them.
    Columns as :func:`kc.studies.accuracies.accuracies` (gains over A and B), task, network, layer,
    paper.
    """
    bench = Bench(settings)
    frames = []
    for task, fits in plan.cases.items():
        for fit in fits:
            found = read_by_b(bench, fit, [settings.consistency.order])
            frame = accuracies(found, ("A", "B"))
            network, layer = fit.target.architecture, fit.target_layer
            frame.insert(0, "task", task)
            frame.insert(2, "network", network)
            frame.insert(3, "layer", layer)
            frame["paper"] = [
                printed.table4(name, network, layer, task) for name in frame["features"]
            ]
            frames.append(frame)
    return pd.concat(frames, ignore_index=True)
