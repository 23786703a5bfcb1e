"""List the layers of a user's network, and tap some of them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple, NoReturn

import torch
from torch import Tensor, nn

from kc.comparison.digest import network_digest
from kc.comparison.forms import OwnLayer, channels_first
from kc.comparison.intake import drawn, intake_of
from kc.comparison.layouts import layouts_of
from kc.comparison.modules import copy_of
from kc.comparison.networks import OwnNetwork
from kc.comparison.tapping import Tapped, open_network
from kc.comparison.ways import FIXED, Way, are_alike, forward, way_of
from kc.errors import NetworkError
from kc.names import Shape
from kc.networks.hooks import Hooked, without_fastpath
from kc.networks.tap import Extract
from kc.settings.custom import Tapping

RANKS = (2, 3, 4)
"""Dimensions of vectors, tokens and maps, with the images as the first."""


class Tap(NamedTuple):
    """Some layers of one network."""

    layers: dict[str, OwnLayer]
    """By name."""
    extract: Extract
    """By name; maps are (n, channels, y, x)."""
    module: nn.Module
    """The module that ``extract`` runs; move it to a device first."""
    digest: str
    """Of everything the features depend on, except the picture (:mod:`kc.comparison.digest`)."""
    bytes_each: int
    """Bytes of one picture's features in all modules, float32: an upper bound of the memory."""
    told: str = ""
    """What is done to pictures first; empty if nothing."""
    way: Way = Way("graph")


def layers_of(
    network: OwnNetwork, size: int = 224, how: Tapping = "auto"
) -> list[tuple[str, Shape]]:
    """List the layers that can be tapped, in order, with the shape of one image's feature.

    Raises
    ------
    NetworkError
        The network cannot be copied, does not take pictures of this size, or cannot be tapped in
        the requested way.
    """
    return [(layer.name, layer.shape) for layer in listed(network, size, how)]


def listed(network: OwnNetwork, size: int = 224, how: Tapping = "auto") -> list[OwnLayer]:
    """List :func:`layers_of` with how their maps are read."""
    return [layer for layer, _ in _looked_at(network, size, how)]


def distinct_layers(network: OwnNetwork, size: int, how: Tapping = "auto") -> list[OwnLayer]:
    """List :func:`layers_of` without layers that return what the layer before them returned.

    Those are dropout in eval mode and identities; they would give the same fits.
    """
    kept: list[tuple[OwnLayer, Tensor]] = []
    for layer, feature in _looked_at(network, size, how):
        if not (kept and torch.equal(feature, kept[-1][1])):
            kept.append((layer, feature))
    return [layer for layer, _ in kept]


def _looked_at(network: OwnNetwork, size: int, how: Tapping) -> list[tuple[OwnLayer, Tensor]]:
    """Return all layers that can be tapped, in order, with the features of two pictures."""
    network = owned(network)
    pictures = intake_of(network, size)(drawn(network, size))
    way = way_of(network, how, pictures)
    opened = open_network(network, way, pictures)
    found = {name: value for name, value in opened.features.items() if _is(value)}
    if not found:
        raise NetworkError(
            f"{network.name}: none of its {len(opened.features)} {way.word}s gives features, "
            "floats with one row for each picture, (n, units), (n, tokens, units) or (n, channels, "
            "y, x). Fix: let forward keep pictures apart, with layers between its input and its "
            "output."
        )
    layers, features = _read(network, found, opened, pictures)
    return [(layer, features[name]) for name, layer in layers.items()]


def tap(network: OwnNetwork, wanted: Sequence[str], size: int, how: Tapping = "auto") -> Tap:
    """Tap some layers of a network (named as in :func:`layers_of`) in one forward pass.

    What runs after the last layer is left out. Features are copied at once, so that in-place
    ReLUs do not overwrite them. Pictures are made grey for a network of one channel and cast to
    the type of its parameters. Maps (y, x, channels) become (channels, y, x), where the network
    or its ``layout`` says that they are.

    Raises
    ------
    NetworkError
        The layer does not exist (the error names the nearest) or gives no feature, its feature is
        random or depends on other pictures of the batch; or as :func:`layers_of`.
    """
    network = owned(network)
    seen = intake_of(network, size)
    example = seen(drawn(network, size))
    way = way_of(network, how, example)
    opened = open_network(network, way, example, wanted)
    for name in wanted:
        if not _is(opened.features[name]):
            _refuse(network, way, name, opened.features[name])
    _check_apart(network, way, opened, seen(drawn(network, size, 3)))
    layers, features = _read(network, opened.features, opened, example)
    extractor = opened.extractor
    digest = network_digest(network, extractor, opened.graph, features)

    def extract(pictures: Tensor) -> dict[str, Tensor]:
        with without_fastpath():
            return channels_first(extractor(seen(pictures)), layers)

    each = max(1, sum(opened.sizes) // len(example))
    return Tap(layers, extract, extractor, digest, each, seen.told(), way)


def _read(
    network: OwnNetwork, features: Mapping[str, Tensor], opened: Tapped, pictures: Tensor
) -> tuple[dict[str, OwnLayer], dict[str, Tensor]]:
    """Describe layers, and bring their maps to (channels, y, x)."""
    prefix = told_prefix(network.model)
    read = layouts_of(network, features, opened.modules, pictures)
    layers = {name: OwnLayer(name, (), prefix, read.get(name, "nchw")) for name in features}
    moved = channels_first(features, layers)
    shapes = {name: tuple(feature.shape[1:]) for name, feature in moved.items()}
    return {name: layer._replace(shape=shapes[name]) for name, layer in layers.items()}, moved


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


def _refuse(network: OwnNetwork, way: Way, layer: str, feature: object) -> NoReturn:
    got = f"of {feature.dtype}, {tuple(feature.shape)}" if isinstance(feature, Tensor) else ""
    raise NetworkError(
        f"{network.name}: {way.word} '{layer}' gives a {type(feature).__name__} {got}; expected "
        "(n, units), (n, tokens, units) or (n, channels, y, x). Fix: 'kc layers' lists others."
    )


def _check_apart(network: OwnNetwork, way: Way, opened: Tapped, three: Tensor) -> None:
    """Refuse features that change from call to call, or with the other pictures of the batch."""
    model = opened.extractor
    with _whole(model):
        again = forward(network, model, three[:2], seed=1)
        # another number of pictures, too
        beside = forward(network, model, three[[0, 2, 1]], seed=1)
    for name, value in opened.features.items():
        if not are_alike(value, again[name]):
            raise NetworkError(
                f"{network.name}: {way.word} '{name}' gives other features each time, in eval "
                f"mode: it draws random numbers, or counts its calls. Fix: {FIXED}."
            )
        if not are_alike(value[:1], beside[name][:1]):
            raise NetworkError(
                f"{network.name}: {way.word} '{name}' gives other features of a picture if the "
                "batch has other pictures, as a batch norm in training mode does. Fix: let eval() "
                "reach it (training=self.training, no call of train()), with running statistics."
            )


@contextmanager
def _whole(model: nn.Module) -> Iterator[None]:
    """Let hooks run the whole network, so that all calls of a layer are counted."""
    if isinstance(model, Hooked):
        model.stops = False
    yield
    if isinstance(model, Hooked):
        model.stops = True


def _is(value: object) -> bool:
    """Return whether a value is a feature: not a size, a tuple or a parameter."""
    return (
        isinstance(value, Tensor)
        and value.is_floating_point()
        and value.ndim in RANKS
        and len(value) == 2
        and value[0].numel() > 0
    )
