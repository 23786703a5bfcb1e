"""Names of networks, layers and features, as in settings, stores and tables."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal

Architecture = Literal[
    "alexnet",
    "vgg11",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
]

STORAGE_ROOT = "KC_STORAGE_ROOT"
"""Variable by which the workflow passes ``storage.root`` to its jobs."""

BESIDE = ("ladder", "repeats")
"""Folders, in a results folder, of measurements that accompany some fits."""

_VGG_FC = {"fc1": "classifier.0", "fc2": "classifier.3", "fc3": "classifier.6"}
_ALEXNET_FC = {"fc1": "classifier.1", "fc2": "classifier.4", "fc3": "classifier.6"}

LAYER_NODES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "alexnet": {"conv4": "features.8", "conv5": "features.10", **_ALEXNET_FC},
        "vgg11": dict(_VGG_FC),
        "vgg16": {"conv4_3": "features.21", "conv5_2": "features.26", "conv5_3": "features.28"}
        | _VGG_FC,
        "vgg16_bn": {"conv4_3": "features.30", "conv5_2": "features.37", "conv5_3": "features.40"}
        | _VGG_FC,
        "vgg19": dict(_VGG_FC),
        "resnet18": {"last_conv": "layer3.1.add"},
        "resnet34": {"last_conv": "layer3.5.add"},
        "resnet50": {"last_conv": "layer3.5.add"},
        "resnet101": {"last_conv": "layer3.22.add"},
        "resnet152": {"last_conv": "layer3.35.add"},
    }
)
"""Graph node of each named layer, before normalisation and ReLU (as the papers' code does)."""


def node_of(architecture: str, layer: str) -> str:
    """Return the graph node of a named layer; a node name is returned unchanged."""
    return LAYER_NODES.get(architecture, {}).get(layer, layer)


def by_depth(architecture: str, layers: Iterable[str]) -> list[str]:
    """Sort layers from shallow to deep; unknown layers come last, in their order."""
    nodes = list(LAYER_NODES.get(architecture, {}).values())
    depth = {node: number for number, node in enumerate(nodes)}
    return sorted(layers, key=lambda layer: depth.get(node_of(architecture, layer), len(nodes)))


Heads = Literal["class", "superclass", "both"]
"""What a network classifies; both: one head for each."""
Start = Literal["scratch", "pretrained"]
"""First weights of a network; pretrained: from a file, except those of its last layer."""
Subset = Literal["train", "test"]
SUBSETS: tuple[Subset, Subset] = ("train", "test")


IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Of red, green and blue, 0 to 1, over ImageNet's training images."""

Shape = tuple[int, ...]
"""Shape of one image's feature."""
FEATURE_DIMS: Mapping[int, tuple[str, ...]] = MappingProxyType(
    {1: ("unit",), 2: ("token", "unit"), 3: ("channel", "y", "x")}
)
"""Names of the axes of one image's feature, by how many there are: vectors, tokens, maps."""


def component_names(order: int) -> list[str]:
    """Format the components of a decomposition: ``x0 .. xK, xdelta``.

    >>> component_names(2)
    ['x0', 'x1', 'x2', 'xdelta']
    """
    return [f"x{k}" for k in range(order + 1)] + ["xdelta"]


def spell_bytes(size: int | float) -> str:
    """Format a number of bytes with three digits."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def folder_id(folder: Path) -> str:
    """Return a unique name of a folder: its name and eight digits of its path's hash."""
    whole = folder.resolve()
    return f"{whole.name}-{hashlib.sha256(str(whole).encode()).hexdigest()[:8]}"
