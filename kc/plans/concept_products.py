"""Names of the networks and entropy maps of the concepts study; without torch."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

from kc.names import Architecture, Start
from kc.plans.products import Grouping
from kc.settings.concepts import FC, ROLES, TABLES, Concepts, PaperTable, Role


@dataclass(frozen=True)
class ConceptNetwork:
    """One network of the study."""

    dataset: str
    architecture: Architecture
    role: Role
    layer: str = ""
    """Layer whose output a student imitates; students only."""
    seed: int = 0
    """Teacher, students and baseline of one seed share no network with those of another."""
    teacher_start: Start = "scratch"
    """What the teacher starts from, or that of a student; a baseline's is always ``scratch``."""

    @property
    def name(self) -> str:
        """Name of its folder under ``concepts/networks``."""
        tail = "" if self.teacher_start == "scratch" else f"-{self.teacher_start}"
        tail += f"-{self.layer}" if self.layer else ""
        return f"{self.dataset}-{self.architecture}-seed{self.seed}-{self.role}{tail}"

    @property
    def start(self) -> Start:
        """What its own weights start from; students and baselines start from scratch."""
        return self.teacher_start if self.role == "teacher" else "scratch"

    @property
    def teacher(self) -> "ConceptNetwork | None":
        """The network a student imitates."""
        if self.role != "student":
            return None
        about = (self.dataset, self.architecture, "teacher", "", self.seed, self.teacher_start)
        return ConceptNetwork(*about)  # type: ignore[arg-type]

    def maps(self, layer: str) -> str:
        """Name of the store of one layer's maps, under ``concepts/maps``."""
        return f"{self.name}--{layer}"


class ConceptCell(NamedTuple):
    """A layer of an architecture on a data set: what a row of the tables is of, in all seeds."""

    dataset: str
    architecture: Architecture
    layer: FC
    teacher_start: Start

    def network(self, role: Role, seed: int) -> ConceptNetwork:
        """Return one of its networks."""
        layer = self.layer if role == "student" else ""
        start: Start = "scratch" if role == "baseline" else self.teacher_start
        return ConceptNetwork(self.dataset, self.architecture, role, layer, seed, start)


def cells_of(settings: Concepts, table: PaperTable) -> list[ConceptCell]:
    """List the cells of Table 2 or 3, by data set, architecture and layer."""
    about = settings.of_table(table)
    return [
        ConceptCell(dataset, architecture, layer, about.teacher)
        for dataset in about.datasets or settings.datasets
        for architecture in about.architectures or settings.architectures
        for layer in settings.layers_of(dataset)
    ]


def concept_networks(settings: Concepts) -> list[ConceptNetwork]:
    """List the study's networks, each once: by data set, architecture, seed and role."""
    cells = [cell for table in TABLES for cell in cells_of(settings, table)]
    found = {
        cell.network(role, seed): None for cell, seed, role in product(cells, settings.seeds, ROLES)
    }
    places = (settings.datasets, settings.all_architectures, settings.seeds, ROLES)

    def place(network: ConceptNetwork) -> tuple[int, ...]:
        own = (network.dataset, network.architecture, network.seed, network.role)
        return tuple(some.index(one) for some, one in zip(places, own, strict=True))

    return sorted(found, key=place)


def layers_seen(network: ConceptNetwork, settings: Concepts) -> tuple[str, ...]:
    """Return the layers of a network that are mapped: a student's own, of the others all."""
    return (network.layer,) if network.layer else settings.layers_of(network.dataset)


def epochs_seen(network: ConceptNetwork, settings: Concepts) -> tuple[int, ...]:
    """Return the checkpoints of a network that are mapped.

    Of a teacher the last one, which Table 2 needs. Of a student those after epoch 0, where its
    weights are the baseline's.
    """
    epochs = settings.training.checkpoints
    if network.role == "teacher":
        return epochs[-1:]
    return tuple(epoch for epoch in epochs if epoch > 0) if network.role == "student" else epochs


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
    """Return the names of the figures of Table 3's networks: maps by layer, curves by network."""
    found: dict[str, None] = {}
    for cell in cells_of(settings, "table3"):
        place = f"{cell.dataset}_{cell.architecture}"
        found[f"concepts_maps_{place}_{cell.layer}"] = None
        found[f"concepts_distance_{place}"] = None
    return list(found)
