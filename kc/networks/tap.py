"""Recording of features at graph nodes, and cutting of networks into head and tail."""

import difflib
import inspect
import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from itertools import chain, count, islice
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils._pytree import tree_leaves
from torchvision import ops
from torchvision.models.feature_extraction import NodePathTracer

from kc.errors import NetworkError

Extract = Callable[[Tensor], dict[str, Tensor]]
"""Function from normalised pictures to features by node."""
_LEAVES = tuple(v for v in vars(ops).values() if inspect.isclass(v) and issubclass(v, nn.Module))
"""Modules that are not traced, as in torchvision's own extractor."""


class _Tracer(NodePathTracer):  # type: ignore[misc]
    """Tracer of networks with one input, which keeps the names of modules."""

    def __init__(self) -> None:
        super().__init__(autowrap_modules=(math, ops), leaf_modules=_LEAVES)

    def create_args_for_root(
        self, root_fn: Callable[..., Any], is_module: bool, concrete_args: Any = None
    ) -> Any:
        """Keep the defaults of further arguments of ``forward``."""
        return super().create_args_for_root(
            lambda self, x: root_fn(self, x), is_module, concrete_args
        )

    def _get_node_qualname(self, module_qualname: str, _: fx.node.Node) -> str:
        """Return the module around a node; :meth:`names` makes names of them."""
        return module_qualname

    def names(self) -> dict[str, fx.Node]:
        """Name all nodes as torchvision does, except that modules keep their names.

        torchvision treats a number as a count, and names as patterns: the first of ``conv_1`` and
        ``conv_2`` becomes ``conv``, the second ``conv_1``; ``conv[0]`` is not found at all.
        Modules are named first, so that hooks, which do not see functions, count as the graph does.
        """
        paths = set((self.submodule_paths or {}).values())
        named: dict[fx.Node, str] = {}
        counts: Counter[str] = Counter()
        for node, path in self.node_to_qualname.items():
            if node.op == "call_module":
                named[node] = call_name(path, counts[path], paths)
                counts[path] += 1
        taken = {*named.values(), *paths}
        for node, path in self.node_to_qualname.items():
            if node not in named:
                function = re.sub(r"(?<=.)_\d+$", "", str(node))
                name = f"{path}.{function}" if path else function
                free = chain([name], (f"{name}_{k}" for k in count(1)))
                named[node] = next(n for n in free if n not in taken)
                taken.add(named[node])
        return {named[node]: node for node in self.node_to_qualname}


def call_name(path: str, number: int, paths: Collection[str]) -> str:
    """Name the call of a module with this number (from 0), e.g. ``relu``, ``relu_1``.

    ``paths``: of all modules, whose names are not taken.
    """
    if number == 0:
        return path
    free = (name for k in count(1) if (name := f"{path}_{k}") not in paths)
    return next(islice(free, number - 1, None))


def nodes(model: nn.Module) -> list[str]:
    """List the graph nodes of a network in eval mode, in order.

    A module has its path as name; an operation between modules has the path of the surrounding
    module and the function. A second node of the same name gets ``_1``.
    """
    return list(_trace(model)[1])


def feature_extractor(model: nn.Module, wanted: Sequence[str]) -> Extract:
    """Return a function that maps a batch to ``{node: feature}`` in one forward pass.

    Later in-place operations overwrite features, e.g. ReLUs; networks of
    :func:`kc.networks.build` have none.
    """
    graph, by_name = _trace(model)
    for node in wanted:
        check_node(node, list(by_name))
    graph.erase_node(graph.output_node())
    graph.output({node: by_name[node] for node in wanted})
    return _module_of(model, graph)


def whole_graph(model: nn.Module) -> fx.GraphModule:
    """Trace a network up to its outputs, without unused nodes, as extractors are traced."""
    return _module_of(model, _trace(model)[0])


def _module_of(model: nn.Module, graph: fx.Graph) -> fx.GraphModule:
    """Turn a graph into a module without unused nodes and modules.

    The network is set to eval mode by its own method, which may keep parts in training mode.
    """
    model.eval()
    whole = fx.GraphModule(model, graph)  # needed to find which nodes are unused
    whole.graph.eliminate_dead_code()
    return fx.GraphModule(model, whole.graph)


def record(model: nn.Module, wanted: Sequence[str], images: Tensor) -> dict[str, Tensor]:
    """Return the features of some nodes for a batch, in eval mode without gradients."""
    return look(feature_extractor(model, wanted), images)


def look(extract: Extract, images: Tensor) -> dict[str, Tensor]:
    """Compute the features of a batch without gradients."""
    with torch.inference_mode():
        return extract(images)


def check_node(node: str, known: Sequence[str]) -> None:
    """Raise an error for an unknown node, with the most similar names."""
    if node not in known:
        close = difflib.get_close_matches(node, known, n=3, cutoff=0.3)
        raise NetworkError(
            f"unknown node '{node}'; nearest: {', '.join(close) or 'none'}. "
            f"The network has {len(known)} nodes, from {known[0]} to {known[-1]}."
        )


def split(model: nn.Module, node: str, example: Tensor) -> tuple[nn.Module, nn.Module]:
    """Cut a network after a node: ``tail(head(x)) == model(x)``, bit for bit.

    Both parts share their modules with the model: copy a part before training it. Dropout and
    batch norm stay active in the tail.

    Raises
    ------
    NetworkError
        The node is unknown, or other paths lead around it.
    """
    graph, by_name = _trace(model)
    check_node(node, list(by_name))
    cut = by_name[node]
    order = list(graph.nodes)
    position = order.index(cut)
    before, after = order[: position + 1], order[position + 1 :]
    for late in after:
        around = [n for n in late.all_input_nodes if n in before and n is not cut]
        around = [n for n in around if n.op != "get_attr"]
        if around:
            raise NetworkError(
                f"node '{node}' does not cut the network: '{around[0].name}' leads around it to "
                f"'{late.name}'. Fix: take a node that all paths go through, such as a block's sum."
            )
    head, tail = _head(model, before, cut), _tail(model, before, after, cut)
    with torch.no_grad():
        was = model.training
        for part in (model, head, tail):
            part.eval()
        if not torch.equal(tail(head(example)), model(example)):
            raise NetworkError(f"node '{node}': tail(head(x)) differs from model(x)")
        for part in (model, head, tail):
            part.train(was)
    return head, tail


def _trace(model: nn.Module) -> tuple[fx.Graph, dict[str, fx.Node]]:
    """Trace a network in eval mode; return its graph and its nodes by name."""
    before = {module: _kept(module) for module in model.modules()}
    tracer = _Tracer()
    try:
        graph: fx.Graph = tracer.trace(model.eval())
    finally:
        for module, kept in before.items():
            _restore(module, kept)
    return graph, tracer.names()


def _kept(module: nn.Module) -> dict[str, Any]:
    """Return a module's attributes, with copies of lists and dicts."""
    return {
        name: value.copy() if type(value) in (list, dict) else value
        for name, value in vars(module).items()
    }


def _restore(module: nn.Module, kept: dict[str, Any]) -> None:
    """Undo what tracing did to a module: its mode, and values of the trace in its attributes."""
    module.training = kept["training"]
    for name, value in list(vars(module).items()):
        if any(isinstance(leaf, fx.Proxy) for leaf in tree_leaves(value)):
            vars(module).pop(name)
            vars(module).update({name: kept[name]} if name in kept else {})


def _head(model: nn.Module, before: list[fx.Node], cut: fx.Node) -> nn.Module:
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for node in before:
        copies[node] = graph.node_copy(node, lambda n: copies[n])
    graph.output(copies[cut])
    return fx.GraphModule(model, graph)


def _tail(model: nn.Module, before: list[fx.Node], after: list[fx.Node], cut: fx.Node) -> nn.Module:
    graph = fx.Graph()
    copies = {cut: graph.placeholder("feature")}
    # a parameter, e.g. a class token, may be read before the cut and used after it
    for node in before:
        if node.op == "get_attr" and any(user in after for user in node.users):
            copies[node] = graph.node_copy(node)
    for node in after:
        if node.op == "output":
            graph.output(copies[node.args[0]])  # type: ignore[index]
        else:
            copies[node] = graph.node_copy(node, lambda n: copies[n])
    return fx.GraphModule(model, graph)
