"""Compute blind spots of born-again networks by generation [L20, Fig. 4 right]."""

import numpy as np
import pandas as pd

from kc.plans.records.born_again import BornAgain
from kc.plans.studies import plan_of
from kc.plans.study import StudyPlan
from kc.report.curves import CurveAxis
from kc.report.tables import TableText
from kc.settings.whole import Settings
from kc.studies.averages import over_chains
from kc.studies.chains import (
    ACCURACY_AXIS,
    SHARE,
    ChainTables,
    draw_chain_curves,
    write_chain_tables,
)
from kc.studies.components import draw_components
from kc.studies.inconsistent import inconsistencies, mean_shares
from kc.studies.verdicts import Claim, effects_by, sentences
from kc.studies.wording import with_ends


def born_again_chains(settings: Settings, plan: StudyPlan) -> pd.DataFrame:
    """Compute Fig. 4 (right) for each chain: one row for each earlier generation, chain and layer.

    Columns: generation, chain (seed), network, layer, top1 (of that generation), top1_last,
    variance and share of x^Delta of the last generation on test images, share_train.
    """
    frame = inconsistencies(plan.cases, "generation", settings.results)
    frame["generation"] = frame["generation"].astype(int)
    return frame.rename(columns={"source_top1": "top1", "target_top1": "top1_last"})


def born_again_table(chains: pd.DataFrame) -> pd.DataFrame:
    """Average over chains: columns of :func:`kc.studies.inconsistent.mean_shares`."""
    return mean_shares(chains, "generation", ("top1", "top1_last"))


def born_again_claims(chains: pd.DataFrame) -> list[Claim]:
    """Compare the paper's claims with each chain: fewer blind spots, better classification."""
    first = chains[chains["generation"] == 1]
    better = first.assign(gain=first["top1_last"] - first["top1"]).drop_duplicates("chain")
    gains = Claim(
        "[L20, Sec. 4.5]",
        "the last generation classifies better than the first",
        "gain in points",
        {"last minus first": over_chains(better, "gain")},
    )
    if chains["generation"].nunique() < 2:
        return [gains]
    rows = []
    for (layer, chain), some in chains.groupby(["layer", "chain"]):
        line = np.polynomial.Polynomial.fit(some["generation"], some["share"], 1).convert()
        rows.append({"layer": layer, "chain": chain, "fall": -line.coef[1]})
    fewer = Claim(
        "[L20, Fig. 4, right]",
        "later generations have fewer blind spots",
        "fall of the share of x^Delta for each generation",
        effects_by(pd.DataFrame(rows), ["layer"], "fall", over_chains),
        "+.3f",
    )
    return [fewer, gains]


def write(settings: Settings) -> None:
    """Write tables ``born_again*`` and figures ``fig4_born_again*`` under the results folder."""
    plan = plan_of(settings, "born_again")
    study = settings.of(BornAgain)
    chains = born_again_chains(settings, plan)
    tables = ChainTables(born_again_table(chains), chains)
    claims = born_again_claims(chains)
    text = TableText(
        title="Born-again networks: blind spots by generation",
        caption=f"Variance of generation {study.generations}'s feature that g cannot "
        "reconstruct from an earlier one, test images [L20, Fig. 4, right].",
        notes=[
            *sentences(claims),
            f"Generation 1 is trained on labels, each later one on labels and, with weight "
            f"{study.distillation.weight:g}, on the one before it (temperature "
            f"{study.distillation.tau:g}), from a new seed.",
            f"x*: the feature of generation {study.generations}; x: that of the generation in the "
            "row. The last row's generation taught the last one itself.",
            "The paper does not print which layer it looked at.",
        ],
    )
    columns = with_ends("top1_last", "last generation's top-1 (%)", ".1f")
    write_chain_tables(settings, plan, "born_again", tables, text, columns, claims)
    axes = (CurveAxis("generation", "generation"), SHARE, ACCURACY_AXIS)
    draw_chain_curves(settings, tables, "fig4_born_again", axes, "generation")
    what = "Blind spots of an earlier generation: the part of the last one's feature that g cannot "
    what += "reconstruct from it."
    draw_components(settings, "born_again", plan, "parts", what)
