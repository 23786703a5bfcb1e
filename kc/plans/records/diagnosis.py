"""The record of `diagnosis`: a weak network compared with a strong one [L20, Sec. 4.1]."""

from collections.abc import Iterator

from pydantic import Field

from kc.names import Architecture
from kc.plans.products import FitPlan, NetworkPlan
from kc.plans.study import Others, Study, StudyPlan
from kc.settings.sections import ChainSeeds, Layer, Name, NetworkStudy


class Diagnosis(NetworkStudy):
    """Blind spots and unreliable features of a weak network [L20, Sec. 4.1]."""

    dataset: Name = "birds"
    weak: Architecture = "alexnet"
    weak_layer: Layer = "conv5"
    strong: Architecture = "resnet34"
    strong_layer: Layer = "last_conv"
    seeds: ChainSeeds = Field(
        (0, 1, 2, 3),
        description="a weak and a strong network of each; no network is in two pairs; intervals "
        "need three",
    )

    def layers_named(self) -> Iterator[tuple[str, Architecture, tuple[str, ...]]]:
        """Return the keys that name layers, each with the architecture and the layers."""
        yield "weak_layer", self.weak, (self.weak_layer,)
        yield "strong_layer", self.strong, (self.strong_layer,)


def _plan(about: Diagnosis, _: Others) -> StudyPlan:
    """Reconstruct the strong network's features from the weak one's, and vice versa, by seed."""
    cases: dict[str, list[FitPlan]] = {"blind_spots": [], "unreliable": []}
    for number, seed in enumerate(about.seeds):
        weak = NetworkPlan(about.dataset, about.weak, seed)
        strong = NetworkPlan(about.dataset, about.strong, seed)
        layers, keep = (about.weak_layer, about.strong_layer), number == 0
        cases["blind_spots"].append(FitPlan(weak, strong, *layers, keep=keep))
        cases["unreliable"].append(FitPlan(strong, weak, *layers[::-1], keep=keep))
    return StudyPlan({name: tuple(fits) for name, fits in cases.items()}, stores=True)


STUDY = Study(
    name="diagnosis",
    place=20,
    title="Diagnosis",
    caption="Diagnosis of a weak network by a strong one [L20, Sec. 4.1]: blind spots are what the "
    "weak network does not explain of the strong one's feature, unreliable features what the "
    "strong one does not explain of the weak one's.",
    settings=Diagnosis,
    plan=_plan,
    tables=("diagnosis",),
    details=("diagnosis_pairs",),
    plots={"diagnosis": "Gain of the fresh classifier over A's raw feature, each pair's as a dot."},
    pictures="fig3",
)
