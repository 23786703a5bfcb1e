"""Construction of torchvision's networks, optionally narrowed, without in-place layers."""

import difflib
from itertools import pairwise
from typing import Literal, cast, get_args

import torch
from torch import nn
from torchvision import models

from kc.errors import NetworkError
from kc.names import Architecture
from kc.settings.recipes import Network

# Side of the map before a narrowed head: torchvision's 7 or 6 would, at 64 px, only copy values
# 12 times and make the head most of the network.
_HEAD_MAP = {"alexnet": 3, "vgg": 2}


def build(architecture: str, classes: int, shape: Network, seed: int) -> nn.Module:
    """Build an untrained network; the same seed gives the same bits.

    Parameters
    ----------
    architecture
        A name of :data:`kc.names.Architecture`.
    classes
        Units of the last layer.
    shape
        Width, head, dropout; see :class:`kc.settings.recipes.Network`.
    seed
        Seed of the initial weights; torch's own generator is not changed.
    """
    known = get_args(Architecture)
    if architecture not in known:
        close = difflib.get_close_matches(architecture, known, n=1)
        hint = f", did you mean '{close[0]}'?" if close else ""
        raise NetworkError(f"unknown network '{architecture}'{hint} Known: {', '.join(known)}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = getattr(models, architecture)(weights=None, num_classes=classes)
        _narrow(model, shape.width)
        _shape_head(model, architecture, shape)
        narrowed = shape.width < 1 or shape.head_units is not None
        for module in model.modules():
            if isinstance(module, nn.ReLU):
                module.inplace = False
            if isinstance(module, nn.Dropout):
                module.p = shape.dropout
            if narrowed and isinstance(module, (nn.Conv2d, nn.Linear)):
                _initialise(module, architecture)
    return cast(nn.Module, model.eval())


def _shape_head(model: nn.Module, architecture: str, shape: Network) -> None:
    """Shrink the head of a small network to fewer hidden units on a smaller pooled map."""
    if architecture == "alexnet" and shape.small_input:
        first = cast(nn.Conv2d, cast(nn.Sequential, model.features)[0])
        first.stride = (2, 2)
    family = "vgg" if architecture.startswith("vgg") else architecture
    if shape.head_units is None or family not in _HEAD_MAP:
        return
    side = _HEAD_MAP[family]
    model.avgpool = nn.AdaptiveAvgPool2d(side)
    head = cast(nn.Sequential, model.classifier)
    linears = {i: module for i, module in enumerate(head) if isinstance(module, nn.Linear)}
    maps = [m for m in model.modules() if isinstance(m, nn.Conv2d)][-1].out_channels
    classes = list(linears.values())[-1].out_features
    units = [maps * side * side, shape.head_units, shape.head_units, classes]
    for position, (inputs, outputs) in zip(linears, pairwise(units), strict=True):
        head[position] = nn.Linear(inputs, outputs)


def _narrow(model: nn.Module, width: float) -> None:
    if width == 1:
        return
    linears = [module for module in model.modules() if isinstance(module, nn.Linear)]
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Conv2d):
                setattr(parent, name, _narrow_conv(child, width))
            elif isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, nn.BatchNorm2d(_scaled(child.num_features, width)))
            elif isinstance(child, nn.Linear):
                classes = child.out_features if child is linears[-1] else None
                inputs = _scaled(child.in_features, width)
                outputs = classes or _scaled(child.out_features, width)
                setattr(parent, name, nn.Linear(inputs, outputs))


def _narrow_conv(conv: nn.Conv2d, width: float) -> nn.Conv2d:
    inputs = 3 if conv.in_channels == 3 else _scaled(conv.in_channels, width)
    return nn.Conv2d(
        inputs,
        _scaled(conv.out_channels, width),
        cast(tuple[int, int], conv.kernel_size),
        cast(tuple[int, int], conv.stride),
        cast(tuple[int, int], conv.padding),
        bias=conv.bias is not None,
    )


def _scaled(channels: int, width: float) -> int:
    return max(1, round(channels * width))


def _initialise(module: nn.Conv2d | nn.Linear, architecture: str) -> None:
    """Draw weights by He's rule at the narrowed size; ResNet's head as its constructor does.

    torchvision's own rules for AlexNet (PyTorch's default) and for VGG's head (standard deviation
    0.01) suit wide layers: in narrowed networks the signal would vanish.
    """
    if isinstance(module, nn.Linear) and architecture.startswith("resnet"):
        module.reset_parameters()
        return
    mode: Literal["fan_in", "fan_out"] = "fan_out" if isinstance(module, nn.Conv2d) else "fan_in"
    nn.init.kaiming_normal_(module.weight, mode=mode, nonlinearity="relu")
    if module.bias is not None:
        nn.init.zeros_(module.bias)
