"""Read your own networks and features, and compare two of them on your own pictures."""

from kc.comparison.arrays import OwnArrays, read_arrays
from kc.comparison.compare import Comparison, compare
from kc.comparison.layers import layers_of
from kc.comparison.matrix import Matrix, compare_layers
from kc.comparison.models import compare_models
from kc.comparison.networks import OwnNetwork, outline, read_network
from kc.comparison.settings import CompareSettings

__all__ = [
    "CompareSettings",
    "Comparison",
    "Matrix",
    "OwnArrays",
    "OwnNetwork",
    "compare",
    "compare_layers",
    "compare_models",
    "layers_of",
    "outline",
    "read_arrays",
    "read_network",
]
