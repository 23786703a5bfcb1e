"""The record of `compression`: what pruning removes [L20, Fig. 4 left]."""

from typing import Annotated

from pydantic import Field, model_validator

from kc.names import Architecture
from kc.plans.products import FitPlan, NetworkPlan
from kc.plans.study import Others, Study, StudyPlan
from kc.settings.recipes import Retraining
from kc.settings.sections import Layers, Name, NetworkStudy, Seed, Share


class Compression(NetworkStudy):
    """What pruning removes from features [L20, Fig. 4 left]."""

    dataset: Name = "birds"
    architecture: Architecture = "vgg16_bn"
    layers: Layers = ("conv4_3", "conv5_3")
    seed: Seed = 0
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
    """Reconstruct the original's features from each pruned network's."""
    original = NetworkPlan(about.dataset, about.architecture, about.seed)
    cases = {}
    for removed in about.removed:
        pruned = NetworkPlan(about.dataset, about.architecture, about.seed, removed=removed)
        cases[f"{removed:g}"] = tuple(
            FitPlan(pruned, original, layer, layer, keep=removed == max(about.removed))
            for layer in about.layers
        )
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
    plots={
        "fig4_compression": "Share of x^Δ (fraction of variance unexplained) and "
        "accuracy over the share of weights removed."
    },
    pictures="fig4_compression",
)
