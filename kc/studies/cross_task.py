"""Compute what networks of two tasks share [L20, Fig. 5]."""

import pandas as pd

from kc.plans.studies import plan_of
from kc.plans.study import StudyPlan
from kc.report.tables import Column, TableText
from kc.settings.whole import Settings
from kc.studies.averages import over_chains
from kc.studies.chains import ChainTables, draw_chain_dots, write_chain_tables
from kc.studies.components import draw_components
from kc.studies.inconsistent import inconsistencies, mean_shares
from kc.studies.verdicts import Claim, effects_by, sentences
from kc.studies.wording import with_ends

RECONSTRUCTED = {
    "reconstructed": "share",
    "reconstructed_low": "ci_high",
    "reconstructed_high": "ci_low",
    "reconstructed_train": "share_train",
}
"""Columns of the table, and those from which they are computed."""


def cross_task_chains(settings: Settings, plan: StudyPlan) -> pd.DataFrame:
    """Compute the table of Fig. 5 for each chain: one row for each direction, chain and layer.

    A classifies all classes, B superclasses. Columns: direction (``b_from_a``: B's feature from
    A's), chain (seed), network, layer, reconstructed (1 - share of x^Delta, test images),
    reconstructed_train, variance and share of x^Delta, share_train, source_top1, target_top1.
    """
    frame = inconsistencies(plan.cases, "direction", settings.results)
    frame.insert(4, "reconstructed", 1 - frame["share"])
    frame.insert(5, "reconstructed_train", 1 - frame["share_train"])
    return frame


def cross_task_table(chains: pd.DataFrame) -> pd.DataFrame:
    """Average over chains: columns of :func:`kc.studies.inconsistent.mean_shares`.

    And reconstructed with its interval, which ends where that of the share begins.
    """
    table = mean_shares(chains, "direction", ("source_top1", "target_top1"))
    for place, (name, of) in enumerate(RECONSTRUCTED.items(), 3):
        table.insert(place, name, 1 - table[of])
    return table


def cross_task_claim(chains: pd.DataFrame) -> Claim:
    """Compare the paper's claim, that A encodes more than B, with each pair of networks."""
    wide = chains.pivot_table(
        index=["layer", "chain"], columns="direction", values="reconstructed", sort=False
    )
    more = (wide["b_from_a"] - wide["a_from_b"]).rename("more").reset_index()
    return Claim(
        "[L20, Fig. 5]",
        "A, which knows more classes, gives more of B's feature than B of A's",
        "difference of the shares reconstructed",
        effects_by(more, ["layer"], "more", over_chains),
        "+.3f",
    )


def write(settings: Settings) -> None:
    """Write tables ``cross_task*`` and figures ``cross_task``, ``fig5_*``."""
    plan = plan_of(settings, "cross_task")
    chains = cross_task_chains(settings, plan)
    tables = ChainTables(cross_task_table(chains), chains)
    claims = [cross_task_claim(chains)]
    text = TableText(
        title="Networks of two tasks",
        caption="Share of a feature's variance that g reconstructs from the network of the "
        "other task, test images [L20, Fig. 5].",
        notes=[
            *sentences(claims),
            "A is trained on all classes, B only on superclasses. b_from_a: B's feature from A's; "
            "a_from_b: A's from B's. Each accuracy is that on the network's own task.",
            "The paper does not print which layer it looked at, and no numbers.",
        ],
    )
    columns = {
        **with_ends("reconstructed", "reconstructed", ".3f"),
        "reconstructed_train": Column("the same on training images", ".3f"),
        "share_train": Column("Var(xdelta) / Var(x*), training images", ".3f"),
        **with_ends("source_top1", "source's top-1 (%)", ".1f"),
        **with_ends("target_top1", "target's top-1 (%)", ".1f"),
    }
    write_chain_tables(settings, plan, "cross_task", tables, text, columns, claims)
    draw_chain_dots(
        settings, tables, "cross_task", ("network", "layer", "direction"), "reconstructed",
        "share of Var(x*) that g reconstructs",
    )  # fmt: skip
    what = "Two tasks: g(x) is what both networks know, x$^\\Delta$ what only the target knows."
    draw_components(settings, "cross_task", plan, "parts", what)
