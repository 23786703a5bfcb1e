"""The measures others use, beside ours, as files."""

import math
from pathlib import Path

import pandas as pd

from kc.plans.studies import plan_of
from kc.report.tables import Column, write_table
from kc.settings.whole import Settings
from kc.similarity.measures import (
    MEASURES,
    MINIBATCH,
    NAMES,
    PATCHES,
    READINGS,
    WIDTH,
)
from kc.studies.baselines import agreement, baselines_table
from kc.studies.origin import origin, setting_notes
from kc.studies.wording import INCONSISTENCY

HEADERS = {
    "cka": "CKA",
    "svcca": "SVCCA",
    "mean_cca": "mean CCA",
    "pwcca": "PWCCA",
    "procrustes": "Procrustes",
    "linear_share": "missed by the best linear map",
}


def write(settings: Settings) -> None:
    """Write ``tables/baselines`` under the results folder.

    Raises
    ------
    StoreError
        A fit, network or store that is missing, or is not what its name says.
    """
    plan = plan_of(settings, "baselines")
    table = baselines_table(settings, plan)
    write_table(
        table,
        Path(settings.results) / "tables" / "baselines",
        title="Other measures of similarity",
        caption="Every pair of the other studies by the measures others use, on the test images, "
        "beside the share of the target's variance that g cannot give.",
        notes=[*_what_is_measured(), *_agreement(table), *setting_notes(settings, plan.networks)],
        provenance=origin(settings, "baselines", plan),
        columns={
            **INCONSISTENCY,
            "test_images": Column("test images"),
            PATCHES: Column("missed by the best linear map, patches", ".3f"),
            MINIBATCH: Column("CKA by minibatch, flattened", ".3f"),
            **{
                f"{name}_{reading}": Column(f"{HEADERS[name]}, {reading}", ".3f")
                for name in MEASURES
                for reading in READINGS
            },
        },
    )


def _what_is_measured() -> list[str]:
    return [
        "positions: each position of a map is a row and its channels the units, as g sees it; "
        "sources of another size are resized bilinearly to the target's. flattened: each image is "
        f"a row and all its values are units; only where both features have at most {WIDTH} of "
        "them, but for CKA by minibatch.",
        "CKA is debiased (HSIC_1), exact over all rows; by minibatch it is averaged over batches "
        "of 256 images (Nguyen et al. 2021). SVCCA keeps 99 % of each feature's variance. PWCCA "
        "weights by the units of the feature of lower rank, the target's where they are equal.",
        "The best linear map is least squares with an intercept, fitted on all training images: "
        "from one position to the same one (positions), from the neighbourhood that one "
        "convolution of g sees (patches), or from image to image (flattened). Its number is Var "
        "of what it misses / Var(x*), test images, to be held against Var(xdelta) / Var(x*); what "
        "g gives beyond patches is of its higher orders: not linear, or from farther away.",
        "Unchanged by orthogonal maps and scaling: CKA, Procrustes, SVCCA, mean CCA; by any "
        "invertible linear map: mean CCA alone; PWCCA: by scaling alone. None of them has a "
        "direction but PWCCA's weights and the linear map, and none says what is shared.",
        "Empty cells: flattened features with too many units, and CCA where the ranks of both "
        "features together reach the number of rows: some correlations are 1 then whatever the "
        "features are; PWCCA also where a feature has more units than there are images.",
        "Positions of one image are not independent rows, so no number here has an interval.",
    ]


def _agreement(table: pd.DataFrame) -> list[str]:
    """Say which measures order the pairs as g does; pairs share networks, so no interval."""
    found = agreement(table)
    told = [f"{name} {found[name]:+.2f}" for name in NAMES if not math.isnan(found[name])]
    if not told:
        return []
    return [
        f"Order of the {len(table)} pairs (Spearman's rho with the share g gives; the linear "
        f"map's number taken from 1): {', '.join(told)}. Pairs share networks and layers: no "
        "interval."
    ]
