"""Your own networks: read them from a few words, and compare two of them on your own pictures."""

from kc.own.compare import Comparison, compare
from kc.own.layers import layers_of
from kc.own.networks import OwnNetwork, read_network
from kc.own.settings import CompareSettings

__all__ = [
    "CompareSettings",
    "Comparison",
    "OwnNetwork",
    "compare",
    "layers_of",
    "read_network",
]
