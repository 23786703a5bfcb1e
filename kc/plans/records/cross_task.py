"""The record of `cross_task`: what networks of two tasks share [L20, Fig. 5]."""

from typing import Literal

from pydantic import Field

from kc.names import Architecture
from kc.plans.products import FitPlan, NetworkPlan
from kc.plans.study import Others, Study, StudyPlan
from kc.settings.sections import Layers, Name, NetworkStudy, Seed


class CrossTask(NetworkStudy):
    """What networks of two tasks share: A classifies all classes, B superclasses [L20, Fig. 5]."""

    task: Literal["superclass", "both"] = Field(
        "superclass", description="task of B; both: a head for classes and one for superclasses"
    )
    dataset: Name = "mix"
    architecture: Architecture = "vgg16_bn"
    layers: Layers = ("conv4_3", "conv5_3")
    seed: Seed = 0


def _plan(about: CrossTask, _: Others) -> StudyPlan:
    a = NetworkPlan(about.dataset, about.architecture, about.seed)
    b = NetworkPlan(about.dataset, about.architecture, about.seed, task=about.task)
    cases = {
        name: tuple(FitPlan(*ends, layer, layer, keep=True) for layer in about.layers)
        for name, ends in (("b_from_a", (a, b)), ("a_from_b", (b, a)))
    }
    return StudyPlan(cases)


STUDY = Study(
    name="cross_task",
    place=70,
    title="Two tasks",
    caption="Networks of two tasks [L20, Fig. 5]: what a network trained on all classes and one "
    "trained on superclasses share.",
    settings=CrossTask,
    plan=_plan,
    tables=("cross_task",),
    pictures="fig5",
)
