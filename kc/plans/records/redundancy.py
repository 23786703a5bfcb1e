"""The record of `redundancy`: features without what some of the classes do not need."""

from collections.abc import Iterator

from pydantic import Field

from kc.plans.products import pairs_of, reconstructions
from kc.plans.study import Others, Study, StudyPlan
from kc.settings.sections import LayersOf, Name, NetworkStudy, PairedSeeds, Pairs, Section


class Task(Section):
    """The classes of one superclass of a data set."""

    dataset: Name
    superclass: Name


class Redundancy(NetworkStudy):
    """Features without what some of the classes do not need [L20, Table 4]."""

    tasks: dict[Name, Task] = {
        "voc_animal": Task(dataset="objects", superclass="animal"),
        "mix_cub": Task(dataset="mix", superclass="bird"),
        "mix_dogs": Task(dataset="mix", superclass="dog"),
    }
    layers: LayersOf = {"vgg16_bn": ("conv4_3", "conv5_2"), "resnet18": ("last_conv",)}
    seeds: PairedSeeds = Field(
        (0, 1, 2, 3), description="one network each, A and B in turn; intervals need three"
    )
    pairs: Pairs = Field(
        "ring", description="ordered pairs (A, B): all, or both directions of a ring"
    )

    def datasets_named(self) -> Iterator[tuple[str, str]]:
        """Return the keys that name a data set, each with the data set."""
        for name, task in self.tasks.items():
            yield f"tasks.{name}.dataset", task.dataset


def _plan(about: Redundancy, _: Others) -> StudyPlan:
    pairs = pairs_of(about.seeds, about.pairs)
    cases = {
        name: reconstructions(task.dataset, about.layers, pairs, task.superclass)
        for name, task in about.tasks.items()
    }
    return StudyPlan(cases, stores=True)


STUDY = Study(
    name="redundancy",
    place=40,
    title="Redundancy",
    caption="Features without redundancy [L20, Table 4]: networks that tell all classes, read "
    "for a part of them.",
    settings=Redundancy,
    plan=_plan,
    tables=("table4",),
    details=("table4_pairs",),
    plots={"table4": "Table 4: gain in accuracy over B's own features, each pair's as a dot."},
)
