"""What the papers print, to stand beside what is measured here.

Typed from the papers' text; the VGG-16 of [L20] is torchvision's ``vgg16_bn``.
"""

from collections.abc import Mapping
from types import MappingProxyType

Layer = tuple[str, str]
"""Network and layer, as they are spelled in the tables."""

_LAYERS: tuple[Layer, ...] = (
    ("alexnet", "conv4"),
    ("alexnet", "conv5"),
    ("vgg16_bn", "conv4_3"),
    ("vgg16_bn", "conv5_3"),
    ("resnet34", "last_conv"),
)


def _by_layer(*values: float) -> Mapping[Layer, float]:
    return MappingProxyType(dict(zip(_LAYERS, values, strict=True)))


TABLE1: Mapping[str, Mapping[Layer, float]] = MappingProxyType(
    {
        "initialization": _by_layer(0.086, 0.116, 0.124, 0.196, 0.776),
        "training_data": _by_layer(0.089, 0.155, 0.121, 0.198, 0.275),
    }
)
"""Instability by case and layer [L20, Table 1]."""

TABLE2: Mapping[str, Mapping[Layer, float]] = MappingProxyType(
    {
        "x0": _by_layer(105.80, 424.67, 1.06, 0.88, 0.66),
        "x1": _by_layer(10.51, 73.73, 0.07, 0.03, 0.10),
        "x2": _by_layer(1.92, 43.69, 0.02, 0.004, 0.03),
        "xdelta": _by_layer(11.14, 71.37, 0.16, 0.22, 2.75),
    }
)
"""Variance by component and layer, different initialisations, raw features [L20, Table 2]."""


def share_of_sum(component: str, layer: Layer) -> float:
    """Give a component's share of the sum of its column of Table 2; NaN where none is printed."""
    if component not in TABLE2 or layer not in TABLE2[component]:
        return float("nan")
    return TABLE2[component][layer] / sum(column[layer] for column in TABLE2.values())


def reading_gap() -> float:
    """Give how far, at most, Table 1 is from Var(xdelta) / (sum of Table 2's column)."""
    printed = TABLE1["initialization"]
    return max(abs(share_of_sum("xdelta", layer) - value) for layer, value in printed.items())
