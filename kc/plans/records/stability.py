"""The record of `stability`: instability of training, Tables 1 and 2 of [L20]."""

from itertools import permutations
from typing import Annotated

from pydantic import Field

from kc.plans.products import FitPlan, NetworkPlan
from kc.plans.study import Others, Study, StudyPlan
from kc.settings.sections import Distinct, LayersOf, Name, NetworkStudy, Seed


class Stability(NetworkStudy):
    """Instability of training: Tables 1 and 2 of [L20]."""

    dataset: Name = "birds"
    layers: LayersOf = Field(
        {
            "alexnet": ("conv4", "conv5"),
            "vgg16_bn": ("conv4_3", "conv5_3"),
            "resnet34": ("last_conv",),
        },
        description="layers compared, by architecture; graph node names are valid too",
    )
    seeds: Annotated[tuple[Seed, ...], Field(min_length=2, max_length=64), Distinct] = Field(
        (0, 1, 2), description="case 1: one network each; intervals need three"
    )
    half_splits: Annotated[int, Field(ge=0, le=100)] = Field(
        3, description="case 2: random half-splits; intervals need three"
    )
    half_images: bool = Field(
        True, description="case 1: also fit on half the images, to see how much g overfits"
    )
    repeats: Annotated[int, Field(ge=1, le=20)] = Field(
        3, description="fits of one pair per layer with different seeds of g, the first included"
    )


def _plan(about: Stability, _: Others) -> StudyPlan:
    """Pair networks as [L20, Sec. 4.2]: case 1 all ordered pairs of seeds, case 2 halves."""
    initialization: list[FitPlan] = []
    training_data: list[FitPlan] = []
    climbed: list[FitPlan] = []
    for architecture, layers in about.layers.items():
        networks = [NetworkPlan(about.dataset, architecture, seed) for seed in about.seeds]
        for layer in layers:
            for number, (a, b) in enumerate(permutations(networks, 2)):
                whole = FitPlan(a, b, layer, layer, keep=number == 0)
                initialization.append(whole)
                if number == 0:
                    climbed.append(whole)
                if about.half_images:
                    initialization.append(FitPlan(a, b, layer, layer, "half"))
            for index in range(about.half_splits):
                halves = [
                    NetworkPlan(about.dataset, architecture, index, f"{index}{part}")
                    for part in "ab"
                ]
                training_data += [FitPlan(a, b, layer, layer) for a, b in permutations(halves, 2)]
    cases = {"initialization": tuple(initialization), "training_data": tuple(training_data)}
    return StudyPlan(cases, climbed=tuple(climbed), repeats=about.repeats)


STUDY = Study(
    name="stability",
    place=10,
    title="Stability",
    caption="Instability of training [L20, Sec. 4.2]: the share of a feature that g does not "
    "explain from the same layer of another network, with another initialisation or other "
    "training images (share of x^Delta: fraction of variance unexplained, 1 - R^2).",
    settings=Stability,
    plan=_plan,
    tables=("table1", "table2", "ladder", "networks"),
    plots={
        "table1": "Table 1: test and training images, and the values printed in [L20].",
        "ladder": "Gain by order, one pair per layer: fraction of variance unexplained by linear "
        "maps and by g, and the path over lambda.",
    },
    environment="report",
)
