"""Look inside a network by graph node: record features, or cut it into head and tail."""

import difflib
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, fx, nn
from torchvision.models.feature_extraction import (
    NodePathTracer,
    create_feature_extractor,
    get_graph_node_names,
)

from kc.errors import NetworkError

Extract = Callable[[Tensor], dict[str, Tensor]]
"""From normalised pictures to features, by name."""


def nodes(model: nn.Module) -> list[str]:
    """List the graph nodes of a network in eval mode, in order (torchvision's names)."""
    return list(get_graph_node_names(model)[1])


def feature_extractor(model: nn.Module, wanted: Sequence[str]) -> Extract:
    """Trace once; the result maps a batch to ``{node: feature}`` in one forward pass.

    Features are taken before anything later runs, so a network whose ReLUs work in place would
    overwrite them; networks of :func:`kc.networks.build` do not.
    """
    known = nodes(model)
    for node in wanted:
        check_node(node, known)
    extractor = create_feature_extractor(
        model.eval(), return_nodes={node: node for node in wanted}, suppress_diff_warning=True
    )
    extractor.eval()
    return extractor  # type: ignore[no-any-return]


def whole_graph(model: nn.Module) -> fx.GraphModule:
    """Trace a network to all it gives, without what nothing takes, as extractors are traced."""
    traced = fx.GraphModule(model, _trace(model))
    traced.graph.eliminate_dead_code()
    traced.recompile()
    return traced.eval()


def record(model: nn.Module, wanted: Sequence[str], images: Tensor) -> dict[str, Tensor]:
    """Give the features of some nodes for a batch, in eval mode and without gradients."""
    return look(feature_extractor(model, wanted), images)


def look(extract: Extract, images: Tensor) -> dict[str, Tensor]:
    """Make the features of a batch, without gradients: the forward pass of every recording."""
    with torch.inference_mode():
        return extract(images)


def check_node(node: str, known: Sequence[str]) -> None:
    """Refuse an unknown node and name its nearest neighbours."""
    if node not in known:
        close = difflib.get_close_matches(node, known, n=3, cutoff=0.3)
        raise NetworkError(
            f"unknown node '{node}'; nearest: {', '.join(close) or 'none'}. "
            f"The network has {len(known)} nodes, from {known[0]} to {known[-1]}."
        )


def split(model: nn.Module, node: str, example: Tensor) -> tuple[nn.Module, nn.Module]:
    """Cut a network after a node: ``tail(head(x)) == model(x)``, bit for bit.

    Both parts share their modules with the model: copy before training one. Dropout and batch
    norm stay live in the tail.

    Raises
    ------
    NetworkError
        The node is unknown, or paths lead around it, so that it cuts nothing.
    """
    graph = _trace(model)
    names = nodes(model)
    check_node(node, names)
    by_name = dict(zip(names, [n for n in graph.nodes if n.op != "output"], strict=True))
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
                f"'{late.name}'. Cure: take a node all paths go through, such as a block's sum."
            )
    head, tail = _head(model, before, cut), _tail(model, before, after, cut)
    head.train(model.training)
    tail.train(model.training)
    with torch.no_grad():
        was = model.training
        for part in (model, head, tail):
            part.eval()
        if not torch.equal(tail(head(example)), model(example)):
            raise NetworkError(f"node '{node}': tail(head(x)) differs from model(x)")
        for part in (model, head, tail):
            part.train(was)
    return head, tail


def _trace(model: nn.Module) -> fx.Graph:
    mode = model.training
    graph: fx.Graph = NodePathTracer().trace(model.eval())
    model.train(mode)
    return graph


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
    # parameters fetched early (a class token, say) may be used late
    for node in before:
        if node.op == "get_attr" and any(user in after for user in node.users):
            copies[node] = graph.node_copy(node)
    for node in after:
        if node.op == "output":
            graph.output(copies[node.args[0]])  # type: ignore[index]
        else:
            copies[node] = graph.node_copy(node, lambda n: copies[n])
    return fx.GraphModule(model, graph)
