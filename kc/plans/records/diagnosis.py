"""The record of `diagnosis`: a weak network compared with a strong one [L20, Sec. 4.1]."""

from collections.abc import Iterator

from kc.names import Architecture
from kc.plans.products import FitPlan, NetworkPlan
from kc.plans.study import Others, Study, StudyPlan
from kc.settings.sections import Layer, Name, NetworkStudy, Seed


class Diagnosis(NetworkStudy):
    """Blind spots and unreliable features of a weak network [L20, Sec. 4.1]."""

    dataset: Name = "birds"
    weak: Architecture = "alexnet"
    weak_layer: Layer = "conv5"
    strong: Architecture = "resnet34"
    strong_layer: Layer = "last_conv"
    seed: Seed = 0

    def layers_named(self) -> Iterator[tuple[str, Architecture, tuple[str, ...]]]:
        """Return the keys that name layers, each with the architecture and the layers."""
        yield "weak_layer", self.weak, (self.weak_layer,)
        yield "strong_layer", self.strong, (self.strong_layer,)


def _plan(about: Diagnosis, _: Others) -> StudyPlan:
    """Reconstruct the strong network's features from the weak one's, and vice versa."""
    weak = NetworkPlan(about.dataset, about.weak, about.seed)
    strong = NetworkPlan(about.dataset, about.strong, about.seed)
    blind = FitPlan(weak, strong, about.weak_layer, about.strong_layer, keep=True)
    unreliable = FitPlan(strong, weak, about.strong_layer, about.weak_layer, keep=True)
    return StudyPlan({"blind_spots": (blind,), "unreliable": (unreliable,)}, stores=True)


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
    pictures="fig3",
)
