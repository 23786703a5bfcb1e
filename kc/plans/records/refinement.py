"""The record of `refinement`: features that B's tail classifies better [L20, Table 3]."""

from pydantic import Field

from kc.plans.products import pairs_of, reconstructions
from kc.plans.study import Others, Study, StudyPlan
from kc.settings.sections import LayersOf, Name, NetworkStudy, PairedSeeds, Pairs


class Refinement(NetworkStudy):
    """Features from A that B's tail classifies better than B's own [L20, Table 3]."""

    dataset: Name = "birds"
    layers: LayersOf = {
        "vgg16_bn": ("conv4_3", "conv5_2"),
        "resnet18": ("last_conv",),
        "resnet34": ("last_conv",),
    }
    seeds: PairedSeeds = Field(
        (0, 1, 2, 3), description="one network each, A and B in turn; intervals need three"
    )
    pairs: Pairs = Field(
        "all", description="ordered pairs (A, B): all, or both directions of a ring"
    )


def _plan(about: Refinement, _: Others) -> StudyPlan:
    pairs = pairs_of(about.seeds, about.pairs)
    fits = reconstructions(about.dataset, about.layers, pairs)
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
    details=("table3_pairs",),
    plots={"table3": "Table 3: gain in accuracy over B's own features, each pair's as a dot."},
)
