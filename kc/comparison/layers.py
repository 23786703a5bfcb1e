"""List the layers of a user's network, and tap some of them."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from typing import Any, NamedTuple, NoReturn

import torch
from torch import Tensor, fx, nn
from torch.utils._pytree import tree_leaves

from kc.comparison.digest import network_digest
from kc.comparison.forms import OwnLayer
from kc.comparison.intake import drawn, intake_of, tensors_in
from kc.comparison.modules import copy_of
from kc.comparison.networks import OwnNetwork
from kc.errors import KCError, NetworkError
from kc.names import Shape
from kc.networks import feature_extractor, nodes
from kc.networks.tap import Extract, whole_graph

RANKS = (2, 3, 4)
"""Dimensions of vectors, tokens and maps, with the images as the first."""
FIXED = "F.dropout(x, p, training=self.training), and nothing drawn or counted in forward"


class Tap(NamedTuple):
    """Some layers of one network."""

    layers: dict[str, OwnLayer]
    """By node."""
    extract: Extract
    """By node."""
    module: nn.Module
    """The module that ``extract`` runs; move it to a device first."""
    digest: str
    """Of everything the features depend on, except the picture (:mod:`kc.comparison.digest`)."""
    bytes_each: int
    """Bytes of one picture's features in all modules, float32: an upper bound of the memory."""
    told: str = ""
    """What is done to pictures first; empty if nothing."""


def layers_of(network: OwnNetwork, size: int = 224) -> list[tuple[str, Shape]]:
    """List the layers that can be tapped, in order, with the shape of one image's feature.

    Raises
    ------
    NetworkError
        The network cannot be copied or traced, or does not take pictures of this size.
    """
    return [(name, tuple(found.shape[1:])) for name, found in _looked_at(network, size).items()]


def distinct_layers(network: OwnNetwork, size: int) -> list[tuple[str, Shape]]:
    """List :func:`layers_of` without nodes that return what the node before them returned.

    Those are dropout in eval mode and identities; they would give the same fits.
    """
    kept: list[tuple[str, Tensor]] = []
    for name, feature in _looked_at(network, size).items():
        if not (kept and torch.equal(feature, kept[-1][1])):
            kept.append((name, feature))
    return [(name, tuple(feature.shape[1:])) for name, feature in kept]


def _looked_at(network: OwnNetwork, size: int) -> dict[str, Tensor]:
    """Return the features of two pictures at all nodes that can be tapped, in order."""
    network = owned(network)
    pictures = intake_of(network, size)(drawn(network, size))
    names = _traced(network, nodes)
    extractor, _ = _untouched(network, names)
    features = _forward(network, extractor, pictures)
    found = {name: features[name] for name in names[1:] if _is(features[name])}
    if not found:
        raise NetworkError(
            f"{network.name}: none of its {len(names) - 1} nodes gives features, floats with one "
            "row for each picture, (n, units), (n, tokens, units) or (n, channels, y, x). Fix: let "
            "forward keep pictures apart, with layers between its input and its output."
        )
    return found


def tap(network: OwnNetwork, wanted: Sequence[str], size: int) -> Tap:
    """Tap some layers of a network (named as in :func:`layers_of`) in one forward pass.

    What runs after the last layer is left out. Features are copied at once, so that in-place
    ReLUs do not overwrite them. Pictures are made grey for a network of one channel and cast to
    the type of its parameters.

    Raises
    ------
    NetworkError
        The node does not exist (the error names the nearest) or gives no feature, its feature is
        random or depends on other pictures of the batch; or as :func:`layers_of`.
    """
    network = owned(network)
    seen = intake_of(network, size)
    extractor, graph = _untouched(network, wanted)
    example = seen(drawn(network, size))
    with _counted(extractor) as sizes, torch.random.fork_rng(devices=[]):
        # a network that draws random numbers must still get the same digest
        torch.manual_seed(0)
        features = _forward(network, extractor, example)
    for node in wanted:
        if not _is(features[node]):
            _refuse(network, node, features[node])
    _check_trace(network, example)
    _check_apart(network, extractor, features, seen(drawn(network, size, 3)))
    told = told_prefix(network.model)
    layers = {node: OwnLayer(node, tuple(features[node].shape[1:]), told) for node in wanted}
    digest = network_digest(network.model, extractor, graph, features)
    each = max(1, sum(sizes) // len(example))
    return Tap(
        layers, lambda pictures: extractor(seen(pictures)), extractor, digest, each, seen.told()
    )


def owned(network: OwnNetwork) -> OwnNetwork:
    """Copy a module that the user also holds; return kc's own modules unchanged."""
    if not network.shared:
        return network
    return replace(network, model=copy_of(network.model, network.name), shared=False)


def told_prefix(model: nn.Module) -> int | None:
    """Return the number of tokens before the patch tokens, if a transformer states it."""
    # first timm's name, then torchvision's
    number = getattr(model, "num_prefix_tokens", None)
    if isinstance(number, int):
        return number
    return 1 if isinstance(getattr(model, "class_token", None), nn.Parameter) else None


def _untouched(network: OwnNetwork, wanted: Sequence[str]) -> tuple[Any, fx.Graph]:
    """Trace an extractor that copies each feature at once; return it and its graph."""
    extractor: Any = _traced(network, lambda model: feature_extractor(model, wanted))
    graph = deepcopy(extractor.graph)
    output = next(node for node in extractor.graph.nodes if node.op == "output")
    copies = {}
    for name, node in output.args[0].items():
        with extractor.graph.inserting_after(node):
            copies[name] = extractor.graph.call_function(_copied, (node,))
    output.args = (copies,)
    extractor.recompile()
    return extractor, graph


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


def _refuse(network: OwnNetwork, node: str, feature: object) -> NoReturn:
    got = f"of {feature.dtype}, {tuple(feature.shape)}" if isinstance(feature, Tensor) else ""
    raise NetworkError(
        f"{network.name}: node '{node}' gives a {type(feature).__name__} {got}; expected "
        "(n, units), (n, tokens, units) or (n, channels, y, x). Fix: 'kc layers' lists others."
    )


def _traced[R](network: OwnNetwork, trace: Callable[[nn.Module], R]) -> R:
    """Trace the network, without torchvision's warning about training mode."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return trace(network.model)
    except KCError:
        raise
    # tracing runs the user's own forward
    except Exception as error:
        raise NetworkError(
            f"{network.name}: torch.fx cannot trace it ({type(error).__name__}: {error}). Its "
            "forward branches on values (an if, an assert), or does what cannot be traced, such as "
            "x[:, 0] = y. Fix: wrap that part in a function marked with torch.fx.wrap."
        ) from error


def _forward(network: OwnNetwork, model: Any, pictures: Tensor) -> Any:
    """Run a traced graph on pictures that the network takes."""
    try:
        with torch.inference_mode():
            return model(pictures)
    except Exception as error:
        raise NetworkError(
            f"{network.name}: the network takes pictures of {pictures.shape[-1]} px, its graph as "
            f"torch.fx traces it does not ({type(error).__name__}: {error!s:.300}). Fix: wrap the "
            "part that looks at values in a function marked with torch.fx.wrap."
        ) from error


def _check_trace(network: OwnNetwork, example: Tensor) -> None:
    """Refuse a network whose traced graph gives other outputs than the network.

    An in-place operation whose result is not used (``F.relu_(x)`` on a separate line) is lost in
    the graph of an extractor.
    """
    traced = _outputs(network, _traced(network, whole_graph), example)
    plain = _outputs(network, network.model, example)
    if not plain:
        raise NetworkError(
            f"{network.name}: gives no tensor by which its graph could be checked. Fix: let it "
            "return tensors, or tuples, lists or dicts of them."
        )
    if len(traced) != len(plain) or not all(map(_are_alike, traced, plain)):
        again = _outputs(network, network.model, example, seed=1)
        if not all(map(_are_alike, again, plain)):
            raise NetworkError(
                f"{network.name}: gives other outputs each time, in eval mode: it draws random "
                f"numbers, or counts its calls. Fix: {FIXED}."
            )
        raise NetworkError(
            f"{network.name}: its graph as torch.fx traces it gives other outputs than the network "
            "(a line such as F.relu_(x), whose result is not used, is lost; so are hooks on the "
            "whole network, and a forward set on the object). Fix: write x = F.relu(x), and hooks "
            "as lines of forward."
        )


def _outputs(network: OwnNetwork, model: nn.Module, example: Tensor, seed: int = 0) -> list[Tensor]:
    """Run a model with a fixed random seed and list all tensors in its output."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return tensors_in(_forward(network, model, example))


def _check_apart(
    network: OwnNetwork, extractor: nn.Module, features: Mapping[str, Tensor], three: Tensor
) -> None:
    """Refuse features that change from call to call, or with the other pictures of the batch."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        again = _forward(network, extractor, three[:2])
        beside = _forward(network, extractor, three[[0, 2]])
    for node, value in features.items():
        if not _are_alike(value, again[node]):
            raise NetworkError(
                f"{network.name}: node '{node}' gives other features each time, in eval mode: it "
                f"draws random numbers, or counts its calls. Fix: {FIXED}."
            )
        if not _are_alike(value[:1], beside[node][:1]):
            raise NetworkError(
                f"{network.name}: node '{node}' gives other features of a picture if the "
                "batch has other pictures, as a batch norm in training mode does. Fix: let eval() "
                "reach it (training=self.training, no call of train()), with running statistics."
            )


def _are_alike(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if not one.is_floating_point():
        return torch.equal(one, other)
    rtol = max(1e-3, 8 * torch.finfo(one.dtype).eps)
    return torch.allclose(one, other, rtol=rtol, atol=rtol / 100, equal_nan=True)


def _is(value: object) -> bool:
    """Return whether a value is a feature: not a size, a tuple or a parameter."""
    return (
        isinstance(value, Tensor)
        and value.is_floating_point()
        and value.ndim in RANKS
        and len(value) == 2
        and value[0].numel() > 0
    )
