"""What pruning throws away: the original's features the pruned network lacks [L20, Fig. 4 left]."""

from pathlib import Path

import pandas as pd

from kc.plans.studies import StudyPlan
from kc.settings.whole import Settings
from kc.studies.fits import read_network_card
from kc.studies.inconsistent import inconsistencies


def compression_table(settings: Settings, plan: StudyPlan) -> pd.DataFrame:
    """Make the table behind Fig. 4 (left): a row a removed share and layer.

    Columns: removed (share of the weights), removed_share (what really went), s_conv, s_fc
    (multiples of a layer's weight deviation), network, layer, top1 (of the pruned network),
    top1_original, variance and share of x^Delta on test images, share_train.
    """
    results = Path(settings.results)
    frame = inconsistencies(plan.cases, "removed", results)
    frame = frame.rename(columns={"source_top1": "top1", "target_top1": "top1_original"})
    frame["removed"] = frame["removed"].astype(float)
    pruned = [read_network_card(fit.source, results) for fit in plan.fits]
    for place, name in enumerate(("removed_share", "s_conv", "s_fc"), 1):
        frame.insert(place, name, [float(card[name]) for card in pruned])
    return frame
