"""The record of `compression`: what pruning removes [L20, Fig. 4 left]."""

from typing import Annotated

from pydantic import Field, model_validator

from kc.names import Architecture
from kc.plans.products import FitPlan, NetworkPlan
from kc.plans.study import Others, Study, StudyPlan
from kc.settings.recipes import Retraining
from kc.settings.sections import ChainSeeds, Layers, Name, NetworkStudy, Share

PICTURED = 0.933
"""Removed share whose pictures [L20, Fig. 4] shows; of other shares the nearest is shown."""


class Compression(NetworkStudy):
    """What pruning removes from features [L20, Fig. 4 left]."""

    dataset: Name = "birds"
    architecture: Architecture = "vgg16_bn"
    layers: Layers = ("conv4_3", "conv5_2")
    seeds: ChainSeeds = Field(
        (0, 1, 2),
        description="chains: an original of each, and its pruned networks; intervals need three",
    )
    removed: Annotated[tuple[Share, ...], Field(min_length=1, max_length=100)] = (
        *(0.5, 0.8, 0.9, 0.933, 0.97),
    )
    retraining: Retraining = Retraining()

    @model_validator(mode="after")
    def _shares_have_distinct_names(self) -> "Compression":
        names = [f"{100 * share:g} %" for share in self.removed]
        if len(set(names)) < len(names):
            raise ValueError(f"removed {', '.join(names)}: no share may appear twice")
        return self


def _plan(about: Compression, _: Others) -> StudyPlan:
    """Reconstruct the original's features from each pruned network's, in every chain."""
    shown = min(about.removed, key=lambda share: abs(share - PICTURED))
    cases = {}
    for removed in about.removed:
        fits = []
        for number, seed in enumerate(about.seeds):
            original = NetworkPlan(about.dataset, about.architecture, seed)
            pruned = NetworkPlan(about.dataset, about.architecture, seed, removed=removed)
            keep = removed == shown and number == 0
            fits += [FitPlan(pruned, original, layer, layer, keep=keep) for layer in about.layers]
        cases[f"{removed:g}"] = tuple(fits)
    return StudyPlan(cases)


STUDY = Study(
    name="compression",
    place=50,
    title="Compression",
    caption="Compression [L20, Fig. 4, left]: the share of the original's features that a pruned "
    "network no longer explains.",
    settings=Compression,
    plan=_plan,
    tables=("compression",),
    details=("compression_chains",),
    plots={
        "fig4_compression": "x^Δ against the pruned networks' accuracy, as [L20, Fig. 4] draws it: "
        "share (fraction of variance unexplained) and variance. A line for each layer, a point for "
        "each removed share with 95 % intervals over chains, a small dot for each chain."
    },
    pictures="fig4_compression",
)
