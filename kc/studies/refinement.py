"""Feature refinement: B's tail on what A gives of B's features [L20, Sec. 5, Table 3]."""

import pandas as pd

from kc.plans.studies import StudyPlan
from kc.settings.whole import Settings
from kc.studies import printed
from kc.studies.accuracies import accuracies
from kc.studies.features import Bench
from kc.studies.reading import read_by_b


def refinement_table(settings: Settings, plan: StudyPlan) -> pd.DataFrame:
    """Make Table 3: a row a network, layer and features.

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
