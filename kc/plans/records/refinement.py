"""The record of `refinement`: features that B's tail classifies better [L20, Table 3]."""

from pydantic import Field

from kc.plans.products import reconstructions
from kc.plans.study import Others, Study, StudyPlan
from kc.settings.sections import LayersOf, Name, NetworkStudy, Seeds


class Refinement(NetworkStudy):
    """Features from A that B's tail classifies better than B's own [L20, Table 3]."""

    dataset: Name = "birds"
    layers: LayersOf = {
        "vgg16_bn": ("conv4_3", "conv5_2"),
        "resnet18": ("last_conv",),
        "resnet34": ("last_conv",),
    }
    seeds: Seeds = Field((0, 1), description="seeds of A, which reconstructs, and of B")


def _plan(about: Refinement, _: Others) -> StudyPlan:
    fits = reconstructions(about.dataset, about.layers, about.seeds)
    return StudyPlan({"refinement": fits}, stores=True)


STUDY = Study(
    name="refinement",
    place=30,
    title="Refinement",
    caption="Refined features [L20, Table 3]: accuracy of B's tail on B's features reconstructed "
    "from A (model stitching), compared with both networks' own features.",
    settings=Refinement,
    plan=_plan,
    tables=("table3",),
)
