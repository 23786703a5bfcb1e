"""Find out which maps of a network are (y, x, channels)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn.modules import batchnorm, conv, pooling

from kc.comparison.forms import Read
from kc.comparison.networks import OwnNetwork
from kc.comparison.running import run

FIRST = (
    *(conv._ConvNd, batchnorm._BatchNorm, nn.GroupNorm, nn.PixelShuffle, nn.PixelUnshuffle),
    *(pooling._MaxPoolNd, pooling._AvgPoolNd),
    *(pooling._AdaptiveMaxPoolNd, pooling._AdaptiveAvgPoolNd),
)
"""Modules that return their channels first."""


def layouts_of(
    network: OwnNetwork,
    features: Mapping[str, Tensor],
    modules: Mapping[str, nn.Module | None],
    pictures: Tensor,
) -> dict[str, Read]:
    """Return how each map is read; vectors and tokens are left out.

    ``layout`` of the network decides, if it is not ``auto``. Otherwise the module that returns
    the map decides, if it is one that works on the last axis (``nn.Linear``, ``nn.LayerNorm``) or
    on the second (a convolution). Otherwise the map's sides decide, in proportion to the
    pictures' sides, if some module of the network works on the last axis of maps.

    Parameters
    ----------
    features
        Of ``pictures``, by layer.
    modules
        The module that returned each feature, or None.
    """
    maps = {name: feature for name, feature in features.items() if feature.ndim == 4}
    if network.layout != "auto":
        return dict.fromkeys(maps, network.layout)
    found: dict[str, Read] = {}
    is_inside: bool | None = None
    for name, feature in maps.items():
        told: Read | None = _told_by(modules.get(name), feature)
        if told is None:
            told = _by_shape(feature, pictures)
        if told is None:
            if is_inside is None:
                is_inside = _works_channels_last(network, pictures)
            told = _else(feature, pictures, is_inside)
        found[name] = told
    return found


def _told_by(module: nn.Module | None, feature: Tensor) -> Literal["nchw", "nhwc"] | None:
    if isinstance(module, FIRST):
        return "nchw"
    if isinstance(module, nn.Linear):
        return "nhwc" if feature.shape[-1] == module.out_features else None
    return _told_by_norm(module, feature) if _is_norm(module) else None


def _is_norm(module: nn.Module | None) -> bool:
    """Return whether a module normalises one axis, as LayerNorm and timm's variants of it."""
    axes = getattr(module, "normalized_shape", None)
    return isinstance(axes, tuple) and len(axes) == 1


def _told_by_norm(module: Any, feature: Tensor) -> Literal["nchw", "nhwc"] | None:
    width = module.normalized_shape[0]
    # LayerNorm2d of torchvision and timm permutes twice inside
    if "2d" in type(module).__name__.lower():
        return "nchw"
    if feature.shape[-1] != width:
        return "nchw" if feature.shape[1] == width else None
    is_plain = type(module) in (nn.LayerNorm, nn.RMSNorm)
    return "nhwc" if is_plain or feature.shape[1] != width else None


def _by_shape(feature: Tensor, pictures: Tensor) -> Literal["nchw"] | None:
    """Return nchw unless the first two sides are in the proportion of the pictures."""
    _, first, second, _ = feature.shape
    return None if _in_proportion(first, second, pictures) else "nchw"


def _else(feature: Tensor, pictures: Tensor, is_inside: bool) -> Read:
    """Read a map whose first two sides are in the proportion of the pictures."""
    _, _, second, third = feature.shape
    if _in_proportion(second, third, pictures):  # so all its sides are about equal
        return "unclear" if is_inside else "nchw"
    return "nhwc" if is_inside else "unclear"


def _in_proportion(y: int, x: int, pictures: Tensor) -> bool:
    """Return whether y : x is that of the pictures, up to rounding."""
    high, wide = pictures.shape[-2:]
    return abs(y * wide - x * high) < max(high, wide)


def _works_channels_last(network: OwnNetwork, pictures: Tensor) -> bool:
    """Return whether a module works on the last axis of maps, or timm's network says so."""
    if str(getattr(network.model, "output_fmt", "")).upper().endswith("NHWC"):
        return True
    with _watched(network.model, len(pictures)) as found:
        run(network, pictures)
    return bool(found)


@contextmanager
def _watched(model: nn.Module, count: int) -> Iterator[list[nn.Module]]:
    """List the modules that work on the last axis of maps while the network runs."""
    found: list[nn.Module] = []

    def see(module: nn.Module, _: object, given: Any) -> None:
        is_map = isinstance(given, Tensor) and given.ndim == 4 and len(given) == count
        if is_map and _told_by(module, given) == "nhwc":
            found.append(module)

    some = [m for m in model.modules() if isinstance(m, nn.Linear) or _is_norm(m)]
    handles = [module.register_forward_hook(see) for module in some]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
