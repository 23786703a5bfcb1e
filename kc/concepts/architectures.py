"""Networks for counting concepts: all have three fully connected layers."""

from typing import cast

import torch
from torch import nn

from kc.names import node_of
from kc.networks import build
from kc.networks.pretrained import load_pretrained, weights_file
from kc.settings.recipes import Network

_RESNET_FC = {"fc1": "fc.0", "fc2": "fc.2", "fc3": "fc.4"}
_BLOCK, _UNITS = 512, 4096
"""Channels and hidden units of the head of ResNets; the paper gives neither."""


def build_with_head(
    architecture: str, classes: int, shape: Network, seed: int, new_layers: int = 0
) -> nn.Module:
    """Build a network; the same seed gives the same bits. A ResNet's last layer is replaced.

    "We replaced the only FC layer into a block with two convolutional and three FC layers, each
    followed by a ReLU layer" [C20, Sec. 4.1]; 3x3, with batch norm, before the pooling. No ReLU
    after the last one: its outputs are the logits.

    Parameters
    ----------
    new_layers
        Load ``shape.weights`` if set, except into so many last layers and a ResNet's new head,
        which keep their random weights; 0: load nothing.
    """
    model = build(architecture, classes, shape, seed)
    if new_layers and shape.weights is not None:
        load_pretrained(model, architecture, weights_file(architecture, shape.weights), new_layers)
    if architecture.startswith("resnet"):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            _put_head(model, classes, shape)
    return model.eval()


def fc_node(architecture: str, layer: str) -> str:
    """Return the graph node of a fully connected layer, before its ReLU."""
    if architecture.startswith("resnet"):
        return _RESNET_FC.get(layer, layer)
    return node_of(architecture, layer)


def _put_head(model: nn.Module, classes: int, shape: Network) -> None:
    maps = cast(nn.Linear, model.fc).in_features
    channels = max(1, round(_BLOCK * shape.width))
    units = shape.head_units or max(1, round(_UNITS * shape.width))
    model.avgpool = nn.Sequential(
        *_convolution(maps, channels), *_convolution(channels, channels), nn.AdaptiveAvgPool2d(1)
    )
    model.fc = nn.Sequential(
        nn.Linear(channels, units), nn.ReLU(),
        nn.Linear(units, units), nn.ReLU(),
        nn.Linear(units, classes),
    )  # fmt: skip
    for module in [*model.avgpool.modules(), *model.fc.modules()]:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if isinstance(module, nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.bias)


def _convolution(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    return conv, nn.BatchNorm2d(outputs), nn.ReLU()
