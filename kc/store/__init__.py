"""Checksummed, sharded, resumable zarr stores; the only package that imports zarr."""

from kc.store.content import StoreContent
from kc.store.reader import Store, StoredArray, check_same_images, open_store
from kc.store.spec import ArraySpec
from kc.store.writer import StoreWriter

__all__ = [
    "ArraySpec",
    "Store",
    "StoreContent",
    "StoreWriter",
    "StoredArray",
    "check_same_images",
    "open_store",
]
