"""The record of `orders`: pictures of the components by order [L20, Fig. 1]."""

from dataclasses import replace

from kc.plans.products import reconstructions
from kc.plans.study import Others, Study, StudyPlan
from kc.settings.sections import LayersOf, Name, NetworkStudy, Seeds


class Orders(NetworkStudy):
    """Pictures of the components by order [L20, Fig. 1], for networks of different seeds."""

    dataset: Name = "birds"
    layers: LayersOf = {"vgg16_bn": ("conv5_3",)}
    seeds: Seeds = (0, 1)


def _plan(about: Orders, _: Others) -> StudyPlan:
    fits = reconstructions(about.dataset, about.layers, [about.seeds])
    return StudyPlan({"orders": tuple(replace(fit, keep=True) for fit in fits)})


STUDY = Study(
    name="orders",
    place=80,
    title="Orders",
    caption="Components by order [L20, Fig. 1]: a feature, its components of order 0 to K, "
    "and the rest.",
    settings=Orders,
    plan=_plan,
    pictures="fig1",
)
