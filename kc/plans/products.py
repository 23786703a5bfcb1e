"""Names of the products of the workflow: networks, and fits between two of them.

The Snakefile reads this without torch.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any, Literal

from kc.names import Architecture, Heads, Start, node_of
from kc.settings.sections import Pairs

Grouping = Literal["architecture", "network"]
"""Networks of one job: all of an architecture, or one."""


@dataclass(frozen=True, order=True)
class NetworkPlan:
    """One network to train: its data set, images, architecture and seed."""

    dataset: str
    architecture: Architecture
    seed: int
    half: str = ""
    """Half of the training images it sees, e.g. ``0a`` and ``0b``; empty: all of them."""
    task: Heads = "class"
    """What it classifies; ``both``: one head for each."""
    removed: float = 0.0
    """Share of its weights that is pruned; it starts from the unpruned network."""
    generation: int = 1
    """Number in a chain of born-again networks, each taught by the one before."""
    start: str = ""
    """Half (``0a``) or seed (``3``) of the network whose first weights it has; empty: its own."""
    trained: bool = True
    """False: it keeps its first weights, which a trained network of its name starts from."""
    weights: Start = "scratch"
    """What its weights start from: drawn by its seed, or pretrained except for the last layer."""
    handicap: str = ""
    """What it cannot know (:mod:`kc.plans.handicaps`), e.g. ``grey``; empty: nothing."""

    @property
    def name(self) -> str:
        """Name of the network's folder and of its activation store."""
        member = f"half{self.half}" if self.half else f"seed{self.seed}"
        if self.task != "class":
            member += f"-{self.task}"
        if self.removed:
            member += f"-pruned{100 * self.removed:g}"
        if self.generation > 1:
            member += f"-generation{self.generation}"
        member += f"-start{self.start}" if self.start else ""
        member += "" if self.trained else "-untrained"
        member += "" if self.weights == "scratch" else f"-{self.weights}"
        member += f"-{self.handicap}" if self.handicap else ""
        return f"{self.dataset}-{self.architecture}-{member}"

    @property
    def origin(self) -> "NetworkPlan | None":
        """The unpruned network or the teacher it is made from; None if there is none."""
        if self.removed:
            return replace(self, removed=0.0)
        if self.generation > 1:
            return replace(self, generation=self.generation - 1)
        return None

    @property
    def first_weights(self) -> str:
        """Name of the trained network that starts from the same weights."""
        started = replace(self, start="", trained=True)
        if self.start.isdigit():
            started = replace(started, seed=int(self.start), half="")
        elif self.start:
            started = replace(started, half=self.start)
        return started.name

    @property
    def kind(self) -> str:
        """How it is made: ``plain``, ``pruned`` or ``born_again``."""
        if self.removed:
            return "pruned"
        return "born_again" if self.generation > 1 else "plain"


@dataclass(frozen=True, order=True)
class FitPlan:
    """One direction of one pair of layers: g from ``source`` to ``target``."""

    source: NetworkPlan
    target: NetworkPlan
    source_layer: str
    target_layer: str
    images: Literal["all", "half"] = "all"
    """Training images g is fitted on; ``half`` is the check on overfitting."""
    only: str = ""
    """Superclass of the images for fit and test; empty: all images."""
    keep: bool = False
    """Whether to keep the components (of which images is a setting)."""

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> "FitPlan":
        """Read a plan from the fields that a rule passes on."""
        ends = {end: NetworkPlan(**told[end]) for end in ("source", "target")}
        return cls(**{**told, **ends})

    @property
    def name(self) -> str:
        """Name of the fit's folder and of its component store."""
        layers = self.source_layer
        if self.target_layer != self.source_layer:
            layers += f"-to-{self.target_layer}"
        tail = "--half" if self.images == "half" else ""
        tail += f"--only-{self.only}" if self.only else ""
        return f"{self.source.name}--{self.target.name}--{layers}{tail}"

    def begun(self, weights: Start) -> "FitPlan":
        """Return the fit between the same networks trained from other first weights."""
        source, target = (replace(one, weights=weights) for one in (self.source, self.target))
        return replace(self, source=source, target=target)

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
        """Name of its two networks, in either direction, and of the job that makes it.

        All halves of one split count as one network, and an untrained one as the trained one: a
        fit takes seconds, and so does a job's start.
        """
        return "--".join(sorted({_of_job(end) for end in (self.source, self.target)}))


def _of_job(network: NetworkPlan) -> str:
    if network.half:
        return f"{network.dataset}-{network.architecture}-split{network.half[:-1]}"
    return replace(network, trained=True).name


def fit_jobs(fits: Iterable[FitPlan], jobs: Grouping) -> dict[str, list[FitPlan]]:
    """Group fits into the jobs that make them, by the job's name.

    ``architecture``: all fits between the networks of two architectures and data sets.
    ``network``: those between two networks (:attr:`FitPlan.pair`).
    """
    found: dict[str, list[FitPlan]] = {}
    for fit in sorted(fits):
        ends = {f"{end.dataset}-{end.architecture}" for end in (fit.source, fit.target)}
        name = "--".join(sorted(ends)) if jobs == "architecture" else fit.pair
        found.setdefault(name, []).append(fit)
    return found


def pairs_of[T](networks: Sequence[T], pairs: Pairs) -> list[tuple[T, T]]:
    """List ordered pairs of different networks, always with both directions.

    ``ring``: the pairs of neighbours, the last and the first among them; with three networks or
    fewer these are all pairs.

    >>> ["".join(pair) for pair in pairs_of("abcd", "ring")]
    ['ab', 'ad', 'ba', 'bc', 'cb', 'cd', 'da', 'dc']
    """
    count = len(networks)
    return [
        (networks[a], networks[b])
        for a, b in permutations(range(count), 2)
        if pairs == "all" or (b - a) % count in (1, count - 1)
    ]


def reconstructions(
    dataset: str,
    layers: Mapping[Architecture, tuple[str, ...]],
    pairs: Iterable[tuple[int, int]],
    only: str = "",
) -> tuple[FitPlan, ...]:
    """Return fits in every layer, from the network of the first seed of each pair to the second."""
    seeds = list(pairs)
    return tuple(
        FitPlan(
            NetworkPlan(dataset, name, a), NetworkPlan(dataset, name, b), layer, layer, only=only
        )
        for name, some in layers.items()
        for layer in some
        for a, b in seeds
    )


def networks_of(fits: Iterable[FitPlan]) -> list[NetworkPlan]:
    """List the networks that take part in the fits, each once, in order."""
    return sorted({network for fit in fits for network in (fit.source, fit.target)})


def nodes_of(network: NetworkPlan, fits: Iterable[FitPlan]) -> list[str]:
    """List the nodes of a network that the fits read, each once, in order."""
    nodes = {fit.source_node for fit in fits if fit.source == network}
    nodes |= {fit.target_node for fit in fits if fit.target == network}
    return sorted(nodes)


def with_origins(networks: Iterable[NetworkPlan]) -> list[NetworkPlan]:
    """List the networks and all those they are made from, each once, in order."""
    found: set[NetworkPlan] = set()
    for network in networks:
        step: NetworkPlan | None = network
        while step is not None:
            found.add(step)
            step = step.origin
    return sorted(found)


def merged(fits: Iterable[FitPlan]) -> list[FitPlan]:
    """List the fits, each once, in order; keep its components if any study does."""
    found: dict[str, FitPlan] = {}
    for fit in fits:
        known = found.get(fit.name, fit)
        found[fit.name] = replace(fit, keep=fit.keep or known.keep)
    return sorted(found.values())


def batches(networks: Iterable[NetworkPlan], jobs: Grouping) -> dict[str, list[NetworkPlan]]:
    """Group networks into the jobs that make them, by the job's name.

    ``architecture``: all of one kind, handicap and architecture on one data set, so that a chain
    of born-again networks is one job. ``network``: one per job.
    """
    found: dict[str, list[NetworkPlan]] = {}
    for network in sorted(networks):
        name = f"{network.dataset}-{network.architecture}"
        name += "" if network.kind == "plain" else f"-{network.kind}"
        name += "" if network.weights == "scratch" else f"-{network.weights}"
        name += f"-{network.handicap}" if network.handicap else ""
        found.setdefault(network.name if jobs == "network" else name, []).append(network)
    return found
