"""Compute the features of a network that its pruned version lacks [L20, Fig. 4 left]."""

import numpy as np
import pandas as pd

from kc.plans.records.compression import Compression
from kc.plans.studies import plan_of
from kc.plans.study import StudyPlan
from kc.report.curves import CurveAxis
from kc.report.tables import Column, TableText
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
from kc.studies.fits import read_network_card
from kc.studies.inconsistent import inconsistencies, mean_shares
from kc.studies.verdicts import Claim, effects_by, sentences
from kc.studies.wording import with_ends

PRUNING = ("removed_share", "s_conv", "s_fc")


def compression_chains(settings: Settings, plan: StudyPlan) -> pd.DataFrame:
    """Compute Fig. 4 (left) for each chain: one row for each removed share, chain and layer.

    Columns: removed (share of the weights), removed_share (actual share), s_conv, s_fc
    (multiples of the standard deviation of a layer's weights), chain (seed), network, layer, top1
    (of the pruned network), top1_original, variance and share of x^Delta on test images,
    share_train.
    """
    results = settings.results
    frame = inconsistencies(plan.cases, "removed", results)
    frame = frame.rename(columns={"source_top1": "top1", "target_top1": "top1_original"})
    frame["removed"] = frame["removed"].astype(float)
    pruned = [read_network_card(fit.source, results) for fit in plan.fits]
    for place, name in enumerate(PRUNING, 1):
        frame.insert(place, name, [float(card[name]) for card in pruned])
    return frame


def compression_table(chains: pd.DataFrame) -> pd.DataFrame:
    """Average over chains: columns of :func:`kc.studies.inconsistent.mean_shares`."""
    return mean_shares(chains, "removed", ("top1", "top1_original"), PRUNING)


def compression_claims(chains: pd.DataFrame) -> list[Claim]:
    """Compare the paper's claims with each chain's curve, if it has two removed shares or more."""
    if chains["removed"].nunique() < 2:
        return []
    rows = []
    for (layer, chain), some in chains.sort_values("removed").groupby(["layer", "chain"]):
        share, top1 = some["share"].to_numpy(), some["top1"].to_numpy()
        slope = np.polynomial.Polynomial.fit(share, top1, 1).convert().coef[1]
        rows.append(
            {"layer": layer, "chain": chain, "lost": share[-1] - share[0]}
            | {"accuracy": -0.1 * slope}
        )
    frame = pd.DataFrame(rows)
    least, most = (f"{end:.1%}" for end in (chains["removed"].min(), chains["removed"].max()))
    told = {
        "lost": (
            "pruning discards features",
            f"share of x^Delta, {most} minus {least}",
            "+.3f",
        ),
        "accuracy": (
            "a lower Var(x^Delta) goes with a higher accuracy",
            "points of top-1 lost for each 0.1 of Var(x*)",
            "+.1f",
        ),
    }
    return [
        Claim(
            "[L20, Fig. 4, left]",
            says,
            unit,
            effects_by(frame, ["layer"], name, over_chains),
            spec,
        )
        for name, (says, unit, spec) in told.items()
    ]


def write(settings: Settings) -> None:
    """Write tables ``compression*`` and figures ``fig4_compression*`` under the results folder."""
    plan = plan_of(settings, "compression")
    study = settings.of(Compression)
    chains = compression_chains(settings, plan)
    tables = ChainTables(compression_table(chains), chains)
    claims = compression_claims(chains)
    text = TableText(
        title="Compression: what pruning removes",
        caption="Variance of the original's feature that g cannot reconstruct from the pruned "
        "network's, test images [L20, Fig. 4, left].",
        notes=[
            *sentences(claims),
            "Magnitude pruning: weights below s times the standard deviation of their layer's are "
            "set to 0; s_conv for convolutions, s_fc for fully connected layers, found by "
            "bisection so that both lose the same share. Quantisation is left out.",
            f"Retrained for {study.retraining.epochs} epochs with fixed masks. x*: the original's "
            "feature; x: the pruned network's.",
        ],
    )
    columns = {
        "removed": Column("removed", ".1%"),
        "removed_share": Column("actually removed", ".2%"),
        **with_ends("top1_original", "original's top-1 (%)", ".1f"),
    }
    write_chain_tables(settings, plan, "compression", tables, text, columns, claims)
    axes = (ACCURACY_AXIS, SHARE, CurveAxis("variance", "Var(x$^\\Delta$), feature's units"))
    draw_chain_curves(settings, tables, "fig4_compression", axes, "removed")
    shown = {fit.source.removed for fit in plan.fits if fit.keep}
    what = f"x$^\\Delta$ is what pruning {max(shown):.1%} of the weights removed."
    draw_components(settings, "compression", plan, "parts", what)
