"""Compute the instability of training: Tables 1 and 2 of [L20, Sec. 4.2].

Instability of A given B is ``Var(x_A^Delta) / Var(x_A)``, with x_A reconstructed from x_B: the
fraction of variance unexplained (FVU = 1 - R^2).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kc.names import component_names
from kc.plans.products import FitPlan
from kc.plans.study import StudyPlan
from kc.studies import printed
from kc.studies.fits import (
    PARTS,
    read_beside,
    read_card_beside,
    read_fit_card,
    read_network_card,
    shares_of,
)
from kc.studies.intervals import Estimate, Scale, over_fits
from kc.studies.stability.depth_notes import depth_claims
from kc.studies.stability.notes import (
    LayerPair,
    ladder_notes,
    pair_notes,
    table1_notes,
    table2_notes,
)
from kc.studies.verdicts import Claim

GROUP = ["case", "network", "layer", "subset"]
PAIR = ["case", "network", "layer", "images", "source_network", "target_network"]
PAIR_NOTES = (
    "Share of x^Delta (fraction of variance unexplained) of every fit; images: half where g is "
    "fitted on half of them. Untrained and start in a network's name: it keeps its first weights, "
    "or takes those of another half.",
)
NETWORK_NOTES = (
    "Accuracies are top-1, in percent; the last epoch is kept. start: the half whose first weights "
    "a network has, where these are not its own.",
)


@dataclass(frozen=True)
class StabilityTables:
    """All tables of the study, with their notes."""

    table1: pd.DataFrame
    table1_pairs: pd.DataFrame
    """Every fit of Table 1."""
    table2: pd.DataFrame
    ladder: pd.DataFrame
    """Ladder of one pair for each layer (:mod:`kc.consistency.rungs`)."""
    penalties: Mapping[tuple[str, str], float]
    """Lambda of the tables, by network and layer."""
    networks: pd.DataFrame
    claims: Sequence[Claim]
    """What Table 1 tests."""
    notes: Mapping[str, tuple[str, ...]]
    """Notes of each table, by its name."""
    cards: Mapping[str, Mapping[str, Any]]
    """Cards of the ``fits`` and ``networks`` that the numbers come from, by name."""


def stability_tables(plan: StudyPlan, results: Path) -> StabilityTables:
    """Compute the tables from the files of fits and networks.

    Parameters
    ----------
    plan
        The fits of both cases.
    results
        Folder that holds ``fits/`` and ``networks/``.

    Raises
    ------
    StoreError
        A fit or network is missing, or is not what its name says.
    """
    shares = pd.concat(
        [shares_of(fits, case, results) for case, fits in plan.cases.items() if fits],
        ignore_index=True,
    )
    fits = {fit.name: read_fit_card(fit, results) for fit in plan.fits}
    networks = {network.name: read_network_card(network, results) for network in plan.networks}
    pairs = [_pair_of(fit, results) for fit in plan.climbed]
    table1, table2 = _table1(shares), _table2(shares, pd.concat(p.parts for p in pairs))
    ladder = pd.concat((pair.rungs for pair in pairs), ignore_index=True)
    return StabilityTables(
        table1,
        _pairs(shares),
        table2,
        ladder,
        {(p.fit.target.architecture, p.fit.target_layer): p.penalty for p in pairs},
        _networks(plan, networks),
        depth_claims(shares),
        {
            "table1": table1_notes(shares),
            "table1_pairs": PAIR_NOTES,
            "table2": (*table2_notes(shares), *pair_notes(table2, pairs)),
            "ladder": ladder_notes(ladder, pairs),
            "networks": NETWORK_NOTES,
        },
        {"fits": fits, "networks": networks},
    )


def _estimate(group: pd.DataFrame, values: "pd.Series[float]", scale: Scale = "log") -> Estimate:
    """Average over the fits of one case, with the interval for that case."""
    case, first, second = group["case"].iloc[0], group["source_network"], group["target_network"]
    return over_fits(case, list(first), list(second), list(values), scale)


def _table1(shares: pd.DataFrame) -> pd.DataFrame:
    """Average the instability of every case, layer and subset [L20, Table 1]."""
    rows = []
    for key, both in shares.groupby(GROUP, sort=False):
        case, network, layer, subset = map(str, key)
        group, half = (both[both["images"] == images] for images in ("all", "half"))
        found = _estimate(group, group["xdelta"] / group["target"])
        rows.append(
            {
                "case": case,
                "network": network,
                "layer": layer,
                "subset": subset,
                "mean": found.mean,
                "mean_of_sum": float((group["xdelta"] / group["sum"]).mean()),
                "ci_low": found.low,
                "ci_high": found.high,
                "n": found.n,
                "n_pairs": found.n_pairs,
                "paper": printed.TABLE1.get(case, {}).get((network, layer), math.nan),
                "positions_per_weight": float(group["positions_per_weight"].mean()),
                "mean_half_images": float((half["xdelta"] / half["target"]).mean()),
                "settled": _spell_settled(group["settled"]),
            }
        )
    return pd.DataFrame(rows)


def _pairs(shares: pd.DataFrame) -> pd.DataFrame:
    """List every fit with its share on test and on training images."""
    wide = (
        shares.assign(share=shares["xdelta"] / shares["target"])
        .pivot_table(index=[*PAIR, "settled"], columns="subset", values="share", sort=False)
        .reset_index()
    )
    named = {"test": "share_test", "train": "share_train"}
    return wide.rename(columns=named)[[*PAIR, *named.values(), "settled"]]


def _spell_settled(found: "pd.Series[str]") -> str:
    """Format why fits ended: one word if it is the same for all, else words with counts."""
    counts = found.value_counts()
    if len(counts) == 1:
        return str(counts.index[0])
    return ", ".join(f"{word} {count}" for word, count in counts.items())


def _pair_of(fit: FitPlan, results: Path) -> LayerPair:
    """Read the ladder and the repeated fits of one pair of a layer."""
    repeats = read_beside(fit, "repeats", "repeats.csv", results)
    moved = read_beside(fit, "ladder", "moved.csv", results).set_index("subset")
    rungs = read_beside(fit, "ladder", "ladder.csv", results)
    at = {"network": fit.target.architecture, "layer": fit.target_layer}
    rows = []
    for subset, some in repeats.groupby("subset", sort=False):
        shares = some.drop(columns=["repeat", "subset"])  # the pair's own fit comes first
        own = {str(name): float(shares[name].iloc[0]) for name in shares}
        linear = {str(name): float(moved[name][subset]) for name in moved}
        beyond = _moved(linear, own["xdelta"]) if linear else {}
        for name, share in own.items():
            spread = float(np.ptp(shares[name])) if len(shares) > 1 else math.nan
            row = at | {"subset": str(subset), "component": name}
            rows.append(
                row
                | {"pair_share": share, "pair_spread": spread}
                | {"pair_moved": beyond.get(name, math.nan)}
            )
    rungs.insert(0, "network", at["network"])
    rungs.insert(1, "layer", at["layer"])
    return LayerPair(
        fit,
        pd.DataFrame(rows),
        rungs,
        float(read_fit_card(fit, results)["penalty"]),
        len(repeats["repeat"].unique()),
        read_card_beside(fit, "repeats", results)["restart"],
    )


def _moved(linear: Mapping[str, float], xdelta: float) -> dict[str, float]:
    """Return the parts after linear parts were moved to x0; x^Delta stays as it is."""
    found = {name.split("_")[0]: value for name, value in linear.items()} | {"xdelta": xdelta}
    return found | {"cross": 1 - sum(found.values())}


def _table2(shares: pd.DataFrame, parts: pd.DataFrame) -> pd.DataFrame:
    """Average every part's variance over the different-initialisation pairs [L20, Table 2].

    ``parts``: shares of the parts of one pair for each layer.
    """
    order = len(shares.filter(regex=PARTS).columns) - 2
    wanted = shares[(shares["case"] == "initialization") & (shares["images"] == "all")]
    rows = []
    for key, group in wanted.groupby(GROUP[1:], sort=False):
        network, layer, subset = map(str, key)
        for component in [*component_names(order), "cross"]:
            scale: Scale = "plain" if component == "cross" else "log"
            found = _estimate(group, group[component] / group["target"], scale)
            at = (network, layer)
            of_sum = (group[component] / group["sum"]).mean()
            rows.append(
                {
                    "component": component,
                    "network": network,
                    "layer": layer,
                    "subset": subset,
                    "variance": float(group[component].mean()),
                    "share": found.mean,
                    "ci_low": found.low,
                    "ci_high": found.high,
                    "n": found.n,
                    "n_pairs": found.n_pairs,
                    "share_of_sum": math.nan if component == "cross" else float(of_sum),
                    "paper": printed.TABLE2.get(component, {}).get(at, math.nan),
                    "paper_share_of_sum": printed.share_of_sum(component, at),
                    "settled": _spell_settled(group["settled"]),
                }
            )
    return pd.DataFrame(rows).merge(parts, "left", [*GROUP[1:], "component"])


def _networks(plan: StudyPlan, cards: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """List the accuracies of all networks."""
    return pd.DataFrame(
        {
            "name": network.name,
            "architecture": network.architecture,
            "seed": network.seed,
            "half": network.half,
            "start": network.start,
            "trained": network.trained,
            "test_accuracy": cards[network.name]["accuracy"]["test"],
            "train_accuracy": cards[network.name]["accuracy"]["train"],
            "images": cards[network.name]["images"],
        }
        for network in plan.networks
    )
