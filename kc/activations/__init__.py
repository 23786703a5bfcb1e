"""Activation stores: what trained networks make of every image."""

from kc.activations.record import record_networks
from kc.store import check_same_images, open_store

__all__ = ["check_same_images", "open_store", "record_networks"]
