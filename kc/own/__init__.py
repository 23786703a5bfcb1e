"""Your own networks: read them from a few words, and compare two of them on your own pictures."""

from kc.own.arrays import OwnArrays, read_arrays
from kc.own.compare import Comparison, compare
from kc.own.layers import layers_of
from kc.own.matrix import Matrix, compare_layers
from kc.own.networks import OwnNetwork, read_network
from kc.own.settings import CompareSettings

__all__ = [
    "CompareSettings",
    "Comparison",
    "Matrix",
    "OwnArrays",
    "OwnNetwork",
    "compare",
    "compare_layers",
    "layers_of",
    "read_arrays",
    "read_network",
]
