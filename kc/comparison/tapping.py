"""Open a network in one of two ways: some features of an example, and what makes others."""

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from typing import Any, NamedTuple, NoReturn

from torch import Tensor, fx, nn
from torch.utils._pytree import tree_leaves

from kc.comparison.networks import OwnNetwork
from kc.comparison.running import run
from kc.comparison.ways import Way, forward, traced
from kc.errors import NetworkError
from kc.networks import feature_extractor, nodes
from kc.networks.hooks import Hooked, Survey, survey
from kc.networks.tap import check_node


class Tapped(NamedTuple):
    """Some layers of a network."""

    features: dict[str, Any]
    """Of the example, by layer."""
    modules: dict[str, nn.Module | None]
    """The module that returns each feature, or None."""
    extractor: nn.Module
    """Returns the features of other pictures."""
    graph: fx.Graph | None
    """Without what kc added to it; None by hooks."""
    sizes: list[int]
    """Bytes of the example's features in each module, as float32."""


def open_network(
    network: OwnNetwork, way: Way, pictures: Tensor, wanted: Sequence[str] | None = None
) -> Tapped:
    """Tap some layers of a network, or all (None), and run it on an example.

    Raises
    ------
    NetworkError
        A layer does not exist; the error names the nearest, and the other way if that has it.
    """
    if way.how == "graph":
        return _by_graph(network, pictures, wanted)
    return _by_hooks(network, way, pictures, wanted)


def _by_graph(network: OwnNetwork, pictures: Tensor, wanted: Sequence[str] | None) -> Tapped:
    known = traced(network, nodes)
    wanted = known[1:] if wanted is None else wanted
    for name in wanted:
        if name not in known:
            _refuse_unless_a_node(network, pictures, name, known)
    extractor: Any = traced(network, lambda model: feature_extractor(model, wanted))
    graph = deepcopy(extractor.graph)
    output = next(node for node in extractor.graph.nodes if node.op == "output")
    copies, modules = {}, {}
    for name, node in output.args[0].items():
        is_module = node.op == "call_module"
        modules[name] = network.model.get_submodule(node.target) if is_module else None
        with extractor.graph.inserting_after(node):
            copies[name] = extractor.graph.call_function(_copied, (node,))
    output.args = (copies,)
    extractor.recompile()
    with _counted(extractor) as sizes:
        features = forward(network, extractor, pictures)
    return Tapped(features, modules, extractor, graph, sizes)


def _refuse_unless_a_node(
    network: OwnNetwork, pictures: Tensor, name: str, known: Sequence[str]
) -> None:
    """Name the way that has the layer, or the nearest nodes."""
    if name.partition(":")[0] in {"forward", *dict(network.model.named_modules())} and (
        name in _surveyed(network, pictures, ()).features
    ):
        raise NetworkError(
            f"{network.name}: '{name}' is no node of its graph, which has only modules of torch "
            "and functions; it is a layer by hooks. Fix: --tap hooks."
        )
    check_node(name, known)


def _by_hooks(
    network: OwnNetwork, way: Way, pictures: Tensor, wanted: Sequence[str] | None
) -> Tapped:
    with _counted(network.model) as sizes:
        found = _surveyed(network, pictures, wanted)
    names = list(found.features) if wanted is None else list(wanted)
    for name in names:
        if name not in found.features:
            _refuse_unknown(network, way, name, found)
    paths = dict(network.model.named_modules())
    modules = {name: paths.get(found.origins[name]) for name in names}
    counts = {found.origins[name]: found.counts[found.origins[name]] for name in names}
    extractor = Hooked(network.model, network.run, names, counts)
    features = {name: found.features[name] for name in names}
    return Tapped(features, modules, extractor, None, sizes)


def _surveyed(network: OwnNetwork, pictures: Tensor, wanted: Sequence[str] | None) -> Survey:
    found: list[Survey] = []
    seen = OwnNetwork(
        network.name,
        network.model,
        run=lambda model, some: found.append(survey(model, network.run, some, wanted)),
    )
    run(seen, pictures)
    return found[0]


def _refuse_unknown(network: OwnNetwork, way: Way, name: str, found: Survey) -> NoReturn:
    known, modules = list(found.features), dict(network.model.named_modules())
    parts = [one for one in known if one.startswith(f"{name}:")]
    if parts:
        raise NetworkError(
            f"{network.name}: '{name}' returns several tensors. Fix: name one, {', '.join(parts)}."
        )
    why = f" ({way.why})" if way.why else ""
    if name in modules:
        is_run = name in found.counts
        raise NetworkError(
            f"{network.name}: module '{name}' {'returns no tensor' if is_run else 'is not called'}"
            f", so hooks{why} do not see it. Fix: 'kc layers' lists others."
        )
    fix = "'kc layers' lists all"
    with suppress(NetworkError):
        if not why and name in traced(network, nodes):
            fix = "--tap graph, which has it"
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.3)
    ends = f", from {known[0]} to {known[-1]}" if known else ""
    raise NetworkError(
        f"{network.name}: unknown layer '{name}'; nearest: {', '.join(close) or 'none'}. Tapped by "
        f"hooks{why}, the network has {len(known)} layers{ends}. Fix: {fix}."
    )


def _copied(value: object) -> object:
    return value.clone() if isinstance(value, Tensor) else value


@contextmanager
def _counted(model: nn.Module) -> Iterator[list[int]]:
    """Count the bytes of each module's output, as float32."""
    sizes: list[int] = []

    def count(_: nn.Module, __: object, given: object) -> None:
        sizes.extend(4 * part.numel() for part in tree_leaves(given) if isinstance(part, Tensor))

    handles = [module.register_forward_hook(count) for module in model.modules()]
    try:
        yield sizes
    finally:
        for handle in handles:
            handle.remove()
