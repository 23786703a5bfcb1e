"""Names of the networks and entropy maps of the concepts study; without torch."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

from kc.names import Architecture
from kc.plans.products import Grouping
from kc.settings.concepts import ROLES, Concepts, Role


@dataclass(frozen=True)
class ConceptNetwork:
    """One network of the study."""

    dataset: str
    architecture: Architecture
    role: Role
    layer: str = ""
    """Layer whose output a student imitates; students only."""

    @property
    def name(self) -> str:
        """Name of its folder under ``concepts/networks``."""
        tail = f"-{self.layer}" if self.layer else ""
        return f"{self.dataset}-{self.architecture}-{self.role}{tail}"

    @property
    def teacher(self) -> "ConceptNetwork | None":
        """The network a student imitates."""
        if self.role != "student":
            return None
        return ConceptNetwork(self.dataset, self.architecture, "teacher")

    def maps(self, layer: str) -> str:
        """Name of the store of one layer's maps, under ``concepts/maps``."""
        return f"{self.name}--{layer}"


def concept_networks(settings: Concepts) -> list[ConceptNetwork]:
    """List the study's networks: teacher, students and baseline, by data set and architecture."""
    return [
        ConceptNetwork(dataset, architecture, role, layer)
        for dataset, architecture in product(settings.datasets, settings.architectures)
        for role in ROLES
        for layer in (settings.layers_of(dataset) if role == "student" else ("",))
    ]


def layers_seen(network: ConceptNetwork, settings: Concepts) -> tuple[str, ...]:
    """Return the layers of a network that are mapped: a student's own, of the others all."""
    return (network.layer,) if network.layer else settings.layers_of(network.dataset)


def concept_batches(
    networks: Iterable[ConceptNetwork], jobs: Grouping
) -> dict[str, list[ConceptNetwork]]:
    """Group networks into jobs by name: all of one architecture, or one per job."""
    found: dict[str, list[ConceptNetwork]] = {}
    for network in networks:
        whole = f"{network.dataset}-{network.architecture}"
        found.setdefault(whole if jobs == "architecture" else network.name, []).append(network)
    return found


def card_paths(networks: Iterable[ConceptNetwork]) -> list[str]:
    """Return the paths of networks' cards, relative to the results folder."""
    return [f"concepts/networks/{network.name}/card.json" for network in networks]


def map_paths(networks: Iterable[ConceptNetwork], settings: Concepts) -> list[str]:
    """Return the manifests of the networks' entropy maps, relative to the results folder."""
    return [
        f"concepts/maps/{network.maps(layer)}.json"
        for network in networks
        for layer in layers_seen(network, settings)
    ]


def concept_figures(settings: Concepts) -> list[str]:
    """Return the names of the figures: maps per network and layer, curves per network."""
    found = []
    for dataset, architecture in product(settings.datasets, settings.architectures):
        layers = settings.layers_of(dataset)
        found += [f"concepts_maps_{dataset}_{architecture}_{layer}" for layer in layers]
        found.append(f"concepts_distance_{dataset}_{architecture}")
    return found
