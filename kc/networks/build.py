"""torchvision's networks, narrowed where asked, with nothing done in place."""

import difflib
import typing
from itertools import pairwise

import torch
from torch import nn
from torchvision import models

from kc.config import Network
from kc.errors import NetworkError
from kc.names import Architecture

# Side of the map the head sees when it is narrowed: torchvision pools up to 7 or 6, which at
# 64 px only copies values 12 times and makes the head most of the network.
_HEAD_MAP = {"alexnet": 3, "vgg": 2}


def build(architecture: str, classes: int, shape: Network, seed: int) -> nn.Module:
    """Build a network from scratch, the same bits for the same seed.

    Parameters
    ----------
    architecture
        A name of :data:`kc.names.Architecture`.
    classes
        Units of the last layer.
    shape
        Width, head, dropout; see :class:`kc.config.Network`.
    seed
        Of the initial weights; torch's own generator is left as it was.
    """
    known = typing.get_args(Architecture)
    if architecture not in known:
        close = difflib.get_close_matches(architecture, known, n=1)
        hint = f", did you mean '{close[0]}'?" if close else ""
        raise NetworkError(f"unknown network '{architecture}'{hint} Known: {', '.join(known)}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = getattr(models, architecture)(weights=None, num_classes=classes)
        _shape_head(model, architecture, shape)
        _narrow(model, shape.width)
        for module in model.modules():
            if isinstance(module, nn.ReLU):
                module.inplace = False
            if isinstance(module, nn.Dropout):
                module.p = shape.dropout
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                _initialise(module, architecture)
    return typing.cast(nn.Module, model.eval())


def _shape_head(model: nn.Module, architecture: str, shape: Network) -> None:
    if architecture == "alexnet" and shape.small_input:
        first = typing.cast(nn.Sequential, model.features)[0]
        first.stride = (2, 2)
    family = "vgg" if architecture.startswith("vgg") else architecture
    if shape.head_units is None or family not in _HEAD_MAP:
        return
    side = _HEAD_MAP[family]
    model.avgpool = nn.AdaptiveAvgPool2d(side)
    head = typing.cast(nn.Sequential, model.classifier)
    linear = [i for i, module in enumerate(head) if isinstance(module, nn.Linear)]
    channels = (512 if family == "vgg" else 256) * side * side
    units = [channels, shape.head_units, shape.head_units, head[linear[-1]].out_features]
    for position, (inputs, outputs) in zip(linear, pairwise(units), strict=True):
        head[position] = nn.Linear(inputs, outputs)
    # the hidden units are counted as asked: only what comes from the maps is narrowed below
    head[linear[0]].keep_out = True
    head[linear[1]].keep_in = head[linear[1]].keep_out = True
    head[linear[2]].keep_in = True


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
                keep_in = getattr(child, "keep_in", False)
                keep_out = getattr(child, "keep_out", False) or child is linears[-1]
                inputs = child.in_features if keep_in else _scaled(child.in_features, width)
                outputs = child.out_features if keep_out else _scaled(child.out_features, width)
                setattr(parent, name, nn.Linear(inputs, outputs))


def _narrow_conv(conv: nn.Conv2d, width: float) -> nn.Conv2d:
    inputs = 3 if conv.in_channels == 3 else _scaled(conv.in_channels, width)
    return nn.Conv2d(
        inputs,
        _scaled(conv.out_channels, width),
        typing.cast(tuple[int, int], conv.kernel_size),
        typing.cast(tuple[int, int], conv.stride),
        typing.cast(tuple[int, int], conv.padding),
        bias=conv.bias is not None,
    )


def _scaled(channels: int, width: float) -> int:
    return max(1, round(channels * width))


def _initialise(module: nn.Conv2d | nn.Linear, architecture: str) -> None:
    """Draw weights by the rule of the architecture's constructor, at the narrowed size."""
    if architecture == "alexnet":
        module.reset_parameters()
        return
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    elif architecture.startswith("vgg"):
        nn.init.normal_(module.weight, 0, 0.01 if module.in_features > 2048 else 0.05)
    else:
        module.reset_parameters()
    if module.bias is not None and not architecture.startswith("resnet"):
        nn.init.zeros_(module.bias)
