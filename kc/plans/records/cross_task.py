"""The record of `cross_task`: what networks of two tasks share [L20, Fig. 5]."""

from typing import Literal

from pydantic import Field

from kc.names import Architecture
from kc.plans.products import FitPlan, NetworkPlan
from kc.plans.study import Others, Study, StudyPlan
from kc.settings.sections import ChainSeeds, Layers, Name, NetworkStudy


class CrossTask(NetworkStudy):
    """What networks of two tasks share: A classifies all classes, B superclasses [L20, Fig. 5]."""

    task: Literal["superclass", "both"] = Field(
        "superclass", description="task of B; both: a head for classes and one for superclasses"
    )
    dataset: Name = "mix"
    architecture: Architecture = "vgg16_bn"
    layers: Layers = ("conv4_3", "conv5_3")
    seeds: ChainSeeds = Field(
        (0, 1, 2), description="pairs of A and B, one of each; intervals need three"
    )


def _plan(about: CrossTask, _: Others) -> StudyPlan:
    cases: dict[str, list[FitPlan]] = {"b_from_a": [], "a_from_b": []}
    for number, seed in enumerate(about.seeds):
        a = NetworkPlan(about.dataset, about.architecture, seed)
        b = NetworkPlan(about.dataset, about.architecture, seed, task=about.task)
        for layer in about.layers:
            cases["b_from_a"].append(FitPlan(a, b, layer, layer, keep=number == 0))
            cases["a_from_b"].append(FitPlan(b, a, layer, layer, keep=number == 0))
    return StudyPlan({name: tuple(fits) for name, fits in cases.items()})


STUDY = Study(
    name="cross_task",
    place=70,
    title="Two tasks",
    caption="Networks of two tasks [L20, Fig. 5]: what a network trained on all classes and one "
    "trained on superclasses share.",
    settings=CrossTask,
    plan=_plan,
    tables=("cross_task",),
    details=("cross_task_chains",),
    plots={
        "cross_task": "Share that g reconstructs, by direction; each pair of networks as a dot."
    },
    pictures="fig5",
)
