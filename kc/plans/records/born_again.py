"""The record of `born_again`: what each generation of networks adds [L20, Fig. 4 right]."""

from typing import Annotated

from pydantic import Field

from kc.names import Architecture
from kc.plans.products import FitPlan, NetworkPlan
from kc.plans.study import Others, Study, StudyPlan
from kc.settings.recipes import Distillation
from kc.settings.sections import ChainSeeds, Layers, Name, NetworkStudy


class BornAgain(NetworkStudy):
    """What each generation of born-again networks adds [L20, Fig. 4 right]."""

    dataset: Name = "birds"
    architecture: Architecture = "vgg16_bn"
    layers: Layers = ("conv4_3", "conv5_3")
    seeds: ChainSeeds = Field(
        (0, 1, 2), description="chains of generations, one of each; intervals need three"
    )
    generations: Annotated[int, Field(ge=2, le=100)] = 5
    distillation: Distillation = Distillation()


def _plan(about: BornAgain, _: Others) -> StudyPlan:
    """Reconstruct the last generation's features from those of each earlier one, by chain.

    Pictures: the first, the middle and the last but one generation of the first chain.
    """
    earlier = range(1, about.generations)
    shown = {earlier[place] for place in (0, len(earlier) // 2, -1)}
    cases = {}
    for generation in earlier:
        fits = []
        for number, seed in enumerate(about.seeds):
            network, last = (
                NetworkPlan(about.dataset, about.architecture, seed, generation=one)
                for one in (generation, about.generations)
            )
            keep = generation in shown and number == 0
            fits += [FitPlan(network, last, layer, layer, keep=keep) for layer in about.layers]
        cases[str(generation)] = tuple(fits)
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
    details=("born_again_chains",),
    plots={
        "fig4_born_again": "Share of x^Δ (fraction of variance unexplained) and accuracy by "
        "generation: means with 95 % intervals over chains, a small dot for each chain."
    },
    pictures="fig4_born_again",
)
