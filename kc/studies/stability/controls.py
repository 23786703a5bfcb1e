"""Tell data and initialisation apart: case 2 minus its controls, paired by half-split."""

import pandas as pd

from kc.studies.intervals import LEAST, Estimate, over_groups
from kc.studies.stability.cases import CONTROLS
from kc.studies.wording import with_interval

ADDS = {
    "same_start": "another start adds (to another half)",
    "same_half": "another half adds (to another start)",
}
"""What training_data minus each control is."""


def control_notes(shares: pd.DataFrame) -> tuple[str, ...]:
    """Write, for each controlled layer, the differences with intervals over half-splits."""
    found = [
        f"{network} {layer}: {'; '.join(_told(group))}."
        for (network, layer), group in _by_split(shares).groupby(["network", "layer"], sort=False)
        if set(CONTROLS) <= set(group["case"])
    ]
    if not found:
        return ()
    return (
        "What data and what the start add to x^Delta (test images, training_data minus same_start "
        "and minus same_half, paired by half-split; plain scale): " + " ".join(found),
        "same_start: half a and half b, b from the first weights of a. same_half: half b twice, "
        "from its own first weights and from those of a. The order of images and dropout differ "
        "in every case.",
    )


def _by_split(shares: pd.DataFrame) -> pd.DataFrame:
    """Average the held-out share over both directions: case, network, layer, target_seed, share."""
    some = shares[
        shares["case"].isin(("training_data", *CONTROLS))
        & (shares["subset"] == "test")
        & (shares["images"] == "all")
    ]
    keys = ["case", "network", "layer", "target_seed"]
    return (
        some.assign(share=some["xdelta"] / some["target"])
        .groupby(keys, sort=False)["share"]
        .mean()
        .reset_index()
    )


def _added(group: pd.DataFrame) -> dict[str, Estimate]:
    wide = group.pivot_table(index="target_seed", columns="case", values="share")
    splits = [str(split) for split in wide.index]
    return {
        control: over_groups(splits, list(wide["training_data"] - wide[control]))
        for control in CONTROLS
    }


def _told(group: pd.DataFrame) -> list[str]:
    told = []
    for control, found in _added(group).items():
        text = f"{ADDS[control]} {with_interval(found, '+.3f')}"
        if found.n < LEAST:
            text += f", no interval with n = {found.n}"
        elif not found.sign:
            text += f", cannot be told from 0 ({found.smallest:.3f} would have been seen)"
        told.append(text)
    return told
