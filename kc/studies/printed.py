"""Values printed in [L20], for comparison with the measured ones.

Copied from the paper's text; the VGG-16 of [L20] is torchvision's ``vgg16_bn``.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType

LayerName = tuple[str, str]
"""Network and layer, as written in the tables."""

_LAYERS: tuple[LayerName, ...] = (
    ("alexnet", "conv4"),
    ("alexnet", "conv5"),
    ("vgg16_bn", "conv4_3"),
    ("vgg16_bn", "conv5_3"),
    ("resnet34", "last_conv"),
)


def _by_layer(*values: float) -> Mapping[LayerName, float]:
    return MappingProxyType(dict(zip(_LAYERS, values, strict=True)))


TABLE1: Mapping[str, Mapping[LayerName, float]] = MappingProxyType(
    {
        "initialization": _by_layer(0.086, 0.116, 0.124, 0.196, 0.776),
        "training_data": _by_layer(0.089, 0.155, 0.121, 0.198, 0.275),
    }
)
"""Instability by case and layer [L20, Table 1]."""

TABLE2: Mapping[str, Mapping[LayerName, float]] = MappingProxyType(
    {
        "x0": _by_layer(105.80, 424.67, 1.06, 0.88, 0.66),
        "x1": _by_layer(10.51, 73.73, 0.07, 0.03, 0.10),
        "x2": _by_layer(1.92, 43.69, 0.02, 0.004, 0.03),
        "xdelta": _by_layer(11.14, 71.37, 0.16, 0.22, 2.75),
    }
)
"""Variance by component and layer, different initialisations, raw features [L20, Table 2]."""


def share_of_sum(component: str, layer: LayerName) -> float:
    """Return a component's share of the sum of its column of Table 2; NaN if none is printed."""
    if component not in TABLE2 or layer not in TABLE2[component]:
        return math.nan
    return TABLE2[component][layer] / sum(column[layer] for column in TABLE2.values())


def reading_gap() -> float:
    """Return the largest difference of Table 1 from Var(xdelta) / (sum of Table 2's column)."""
    printed = TABLE1["initialization"]
    return max(abs(share_of_sum("xdelta", layer) - value) for layer, value in printed.items())


_TABLE3_LAYERS: tuple[LayerName, ...] = (
    ("vgg16_bn", "conv4_3"),
    ("vgg16_bn", "conv5_2"),
    ("resnet18", "last_conv"),
    ("resnet34", "last_conv"),
    ("resnet50", "last_conv"),
)
TABLE3: Mapping[str, Mapping[LayerName, float]] = MappingProxyType(
    {
        features: MappingProxyType(dict(zip(_TABLE3_LAYERS, values, strict=True)))
        for features, values in {
            "A": (43.15, 43.15, 34.74, 31.05, 29.98),
            "B": (42.89, 42.89, 35.00, 30.46, 31.15),
            "x0": (45.15, 44.48, 38.16, 31.49, 30.40),
            "x0+x1": (44.98, 44.22, 38.45, 31.76, 31.77),
            "x0+x1+x2": (45.06, 44.32, 38.23, 31.96, 31.84),
        }.items()
    }
)
"""Top-1 accuracy (%) on CUB-200-2011 by features and layer [L20, Table 3]."""

_TABLE4_TASKS = ("voc_animal", "mix_cub", "mix_dogs")
TABLE4: Mapping[LayerName, Mapping[str, tuple[float, float, float]]] = MappingProxyType(
    {
        ("vgg16_bn", "conv4_3"): {
            "A": (51.55, 44.44, 15.15),
            "B": (50.80, 45.93, 15.19),
            "x0+x1+x2": (59.38, 47.50, 16.53),
        },
        ("vgg16_bn", "conv5_2"): {
            "A": (51.55, 44.44, 15.15),
            "B": (50.80, 45.93, 15.19),
            "x0+x1+x2": (60.18, 46.65, 16.70),
        },
        ("resnet18", "last_conv"): {
            "A": (37.65, 31.93, 14.20),
            "B": (37.22, 32.02, 14.28),
            "x0+x1+x2": (53.52, 38.02, 16.17),
        },
        ("resnet34", "last_conv"): {
            "A": (39.42, 30.91, 12.96),
            "B": (35.95, 27.74, 12.46),
            "x0+x1+x2": (49.98, 33.98, 14.21),
        },
    }
)
"""Top-1 accuracy (%) by layer and features, tasks VOC-animal, Mix-CUB, Mix-Dogs [L20, Table 4]."""

DIAGNOSIS: Mapping[str, float] = MappingProxyType(
    {"alexnet": 56.97, "resnet34": 73.09, "raw x_A": 60.3, "g(x_B)": 65.6}
)
"""Top-1 accuracy (%) [L20, Sec. 4.1]; the raw feature was read again in the second experiment."""


DIAGNOSIS_GAIN: Mapping[str, float] = MappingProxyType(
    {"g(x_A) + blind spots": 16.1, "g(x_B)": 5.3}
)
"""Gain over the raw feature (points) [L20, Sec. 4.1]: 16.1 as printed, 5.3 as 65.6 - 60.3."""


def table3(features: str, network: str, layer: str) -> float:
    """Return the printed accuracy, or NaN.

    [L19, Table 3] prints the same numbers for baselines that were not trained further.
    """
    return TABLE3.get(features.removesuffix("_as_trained"), {}).get((network, layer), math.nan)


def table4(features: str, network: str, layer: str, task: str) -> float:
    """Return the printed accuracy, or NaN."""
    if task not in _TABLE4_TASKS:
        return math.nan
    values = TABLE4.get((network, layer), {}).get(features)
    return math.nan if values is None else values[_TABLE4_TASKS.index(task)]


def diagnosis(features: str) -> float:
    """Return the printed accuracy, or NaN."""
    return DIAGNOSIS.get(features, math.nan)


def diagnosis_gain(features: str) -> float:
    """Return the printed gain over the raw feature (percentage points), or NaN."""
    return DIAGNOSIS_GAIN.get(features, math.nan)
