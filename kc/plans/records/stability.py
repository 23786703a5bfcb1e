"""The record of `stability`: instability of training, Tables 1 and 2 of [L20]."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations
from typing import Annotated, Literal

from pydantic import Field

from kc.names import by_depth
from kc.plans.products import FitPlan, NetworkPlan
from kc.plans.study import Others, Study, StudyPlan
from kc.settings.sections import Distinct, LayersOf, Name, NetworkStudy, Pairs, Seed


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
        (0, 1, 2, 3, 4), description="case 1: one network each; intervals need three"
    )
    pairs: Pairs = Field(
        "all",
        description="case 1: all ordered pairs of seeds, or both directions of a ring: half the "
        "fits of five seeds, and intervals half as wide again",
    )
    half_splits: Annotated[int, Field(ge=0, le=100)] = Field(
        5, description="case 2: random half-splits; intervals need three"
    )
    first_split: Annotated[int, Field(ge=0, le=1000)] = Field(
        0, description="case 2: number of the first half-split; other numbers are other halves"
    )
    half_images: bool = Field(
        True,
        description="case 1, pairs of a ring: also fit on half the images, to remove from "
        "differences between layers what g overfits",
    )
    controls: Literal["none", "last", "all"] = Field(
        "last",
        description="layers of the controls of case 2 (same start and other half, other start and "
        "same half): the deepest of each architecture, or all; none: also no untrained network, "
        "and no network beside itself",
    )
    repeats: Annotated[int, Field(ge=1, le=20)] = Field(
        3, description="fits of one pair per layer with different seeds of g, the first included"
    )


CASES = (
    *("untrained", "initialization", "training_data", "same_start", "same_half"),
    "itself",
)
"""In the order of Table 1's rows; the second and third are those of [L20]."""


def _plan(about: Stability, _: Others) -> StudyPlan:
    """Pair networks as [L20, Sec. 4.2]: seeds, halves of the images; and controls."""
    cases: dict[str, list[FitPlan]] = {name: [] for name in CASES}
    for architecture, layers in about.layers.items():
        seeds = [NetworkPlan(about.dataset, architecture, seed) for seed in about.seeds]
        for layer in layers:
            cases["initialization"] += _of_seeds(about, seeds, layer)
            if about.controls != "none":
                first = replace(seeds[0], trained=False)
                cases["untrained"].append(FitPlan(first, seeds[1], layer, layer))
                cases["itself"].append(FitPlan(seeds[0], seeds[0], layer, layer))
        for index in range(about.first_split, about.first_split + about.half_splits):
            half = NetworkPlan(about.dataset, architecture, index, f"{index}a")
            for case, fit in _of_halves(about, half, layers):
                cases[case].append(fit)
    return StudyPlan(
        {name: tuple(fits) for name, fits in cases.items()},
        climbed=tuple(fit for fit in cases["initialization"] if fit.keep),
        repeats=about.repeats,
    )


def _of_seeds(about: Stability, networks: list[NetworkPlan], layer: str) -> Iterator[FitPlan]:
    """List the fits of case 1; those of a ring also on half the images. The first is kept."""
    count = len(networks)
    for number, (a, b) in enumerate(permutations(range(count), 2)):
        fit = FitPlan(networks[a], networks[b], layer, layer, keep=number == 0)
        is_near = (b - a) % count in (1, count - 1)
        if is_near or about.pairs == "all":
            yield fit
        if is_near and about.half_images:
            yield replace(fit, images="half", keep=False)


def _of_halves(
    about: Stability, a: NetworkPlan, layers: tuple[str, ...]
) -> Iterator[tuple[str, FitPlan]]:
    """List the fits of one half-split, and of its controls: b again, from the start of a."""
    b = replace(a, half=f"{a.half[:-1]}b")
    again = replace(b, start=a.half)
    deepest = by_depth(a.architecture, layers)[-1:]
    controlled = {"none": [], "last": deepest, "all": layers}[about.controls]
    for layer in layers:
        yield from (("training_data", fit) for fit in _both(a, b, layer))
    for layer in controlled:
        yield from (("same_start", fit) for fit in _both(a, again, layer))
        yield from (("same_half", fit) for fit in _both(b, again, layer))


def _both(a: NetworkPlan, b: NetworkPlan, layer: str) -> list[FitPlan]:
    return [FitPlan(a, b, layer, layer), FitPlan(b, a, layer, layer)]


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
    details=("table1_pairs",),
    plots={
        "table1": "Table 1: test and training images, and the values printed in [L20].",
        "ladder": "Gain by order, one pair per layer: fraction of variance unexplained by linear "
        "maps and by g, and the path over lambda.",
    },
    environment="report",
)
