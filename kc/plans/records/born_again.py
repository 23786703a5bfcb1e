"""The record of `born_again`: what each generation of networks adds [L20, Fig. 4 right]."""

from typing import Annotated

from pydantic import Field

from kc.names import Architecture
from kc.plans.products import FitPlan, NetworkPlan
from kc.plans.study import Others, Study, StudyPlan
from kc.settings.recipes import Distillation
from kc.settings.sections import Layers, Name, NetworkStudy, Seed


class BornAgain(NetworkStudy):
    """What each generation of born-again networks adds [L20, Fig. 4 right]."""

    dataset: Name = "birds"
    architecture: Architecture = "vgg16_bn"
    layers: Layers = ("conv4_3", "conv5_3")
    seed: Seed = 0
    generations: Annotated[int, Field(ge=2, le=100)] = 5
    distillation: Distillation = Distillation()


def _plan(about: BornAgain, _: Others) -> StudyPlan:
    """Reconstruct the last generation's features from those of each earlier one."""
    *earlier, last = [
        NetworkPlan(about.dataset, about.architecture, about.seed, generation=number)
        for number in range(1, about.generations + 1)
    ]
    cases = {
        str(network.generation): tuple(
            FitPlan(network, last, layer, layer, keep=network.generation == 1)
            for layer in about.layers
        )
        for network in earlier
    }
    return StudyPlan(cases)


STUDY = Study(
    name="born_again",
    place=60,
    title="Born-again networks",
    caption="Born-again networks [L20, Fig. 4, right]: the share of the last generation's features "
    "that g does not explain from each earlier one.",
    settings=BornAgain,
    plan=_plan,
    tables=("born_again",),
    plots={
        "fig4_born_again": "Share of x^Δ (fraction of variance unexplained) and "
        "accuracy by generation."
    },
    pictures="fig4_born_again",
)
