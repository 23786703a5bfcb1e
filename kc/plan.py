"""What must be trained, recorded and fitted: the names of products, and what each study needs.

Pure bookkeeping over the settings, so that the Snakefile can read it without torch.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import permutations
from typing import Literal

from kc.config import Settings
from kc.names import Architecture, node_of


@dataclass(frozen=True, order=True)
class NetworkPlan:
    """One network to train: on which images of which data set, from which seed."""

    dataset: str
    architecture: Architecture
    seed: int
    half: str = ""
    """Half of the training images it sees, e.g. ``0a`` and ``0b``; empty: all of them."""

    @property
    def name(self) -> str:
        """Name of the network's folder and of its activation store."""
        member = f"half{self.half}" if self.half else f"seed{self.seed}"
        return f"{self.dataset}-{self.architecture}-{member}"


@dataclass(frozen=True, order=True)
class FitPlan:
    """One direction of one pair of layers: g from ``source`` to ``target``."""

    source: NetworkPlan
    target: NetworkPlan
    source_layer: str
    target_layer: str
    images: Literal["all", "half"] = "all"
    """Training images g is fitted on; ``half``: the check on overfitting."""
    keep: bool = False
    """Whether the components are worth disk (the setting says of which images)."""

    @property
    def name(self) -> str:
        """Name of the fit's folder and of its component store."""
        layers = self.source_layer
        if self.target_layer != self.source_layer:
            layers += f"-to-{self.target_layer}"
        tail = "--half" if self.images == "half" else ""
        return f"{self.source.name}--{self.target.name}--{layers}{tail}"

    @property
    def source_node(self) -> str:
        """Graph node of the source layer, its name in the activation store."""
        return node_of(self.source.architecture, self.source_layer)

    @property
    def target_node(self) -> str:
        """Graph node of the target layer, its name in the activation store."""
        return node_of(self.target.architecture, self.target_layer)

    @property
    def pair(self) -> str:
        """Name of the unordered pair of networks: all its fits are one job."""
        return "--".join(sorted((self.source.name, self.target.name)))


@dataclass(frozen=True)
class StabilityPlan:
    """The fits of Tables 1 and 2, by case."""

    initialization: tuple[FitPlan, ...]
    training_data: tuple[FitPlan, ...]

    @property
    def fits(self) -> tuple[FitPlan, ...]:
        """All fits of both cases."""
        return self.initialization + self.training_data


def stability_plan(settings: Settings) -> StabilityPlan:
    """Pair networks as [L20, Sec. 4.2]: case 1 all ordered pairs of seeds, case 2 halves."""
    study = settings.stability
    initialization: list[FitPlan] = []
    training_data: list[FitPlan] = []
    for architecture, layers in study.layers.items():
        networks = [NetworkPlan(study.dataset, architecture, seed) for seed in study.seeds]
        for layer in layers:
            for number, (a, b) in enumerate(permutations(networks, 2)):
                initialization += _fits(a, b, layer, study.half_images, keep=number == 0)
            for index in range(study.half_splits):
                halves = [
                    NetworkPlan(study.dataset, architecture, index, f"{index}{part}")
                    for part in "ab"
                ]
                for a, b in permutations(halves, 2):
                    training_data += _fits(a, b, layer, half_images=False)
    return StabilityPlan(tuple(initialization), tuple(training_data))


def networks_of(fits: Iterable[FitPlan]) -> list[NetworkPlan]:
    """List the networks that take part in the fits, each once, in order."""
    return sorted({network for fit in fits for network in (fit.source, fit.target)})


def nodes_of(network: NetworkPlan, fits: Iterable[FitPlan]) -> list[str]:
    """List the nodes of a network that some fit reads, each once, in order."""
    nodes = {fit.source_node for fit in fits if fit.source == network}
    nodes |= {fit.target_node for fit in fits if fit.target == network}
    return sorted(nodes)


def _fits(
    source: NetworkPlan, target: NetworkPlan, layer: str, half_images: bool, keep: bool = False
) -> list[FitPlan]:
    full = FitPlan(source, target, layer, layer, "all", keep)
    half = FitPlan(source, target, layer, layer, "half")
    return [full, half] if half_images else [full]
