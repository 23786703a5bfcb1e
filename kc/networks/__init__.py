"""Building, training, tapping and splitting of networks."""

from kc.networks.build import build
from kc.networks.checkpoint import load_network
from kc.networks.tap import feature_extractor, nodes, record, split

__all__ = [
    "build",
    "feature_extractor",
    "load_network",
    "nodes",
    "record",
    "split",
]
