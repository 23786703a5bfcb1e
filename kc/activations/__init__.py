"""Record the features of trained networks for every image in activation stores."""

from kc.activations.record import record_networks
from kc.store import check_same_images, open_store

__all__ = ["check_same_images", "open_store", "record_networks"]
