"""Decide whether a manifest may refer to a bucket: only if the user asked for it.

Anybody can write a manifest. One that names a bucket makes kc access that bucket with the user's
keys. So kc follows it only if the user named the place (``storage.root`` in the settings of the
workflow, the ``root`` of a writer in this process) or allowed the network.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from kc.errors import StoreError
from kc.names import STORAGE_ROOT
from kc.store.place import is_remote

_ROOTS: set[str] = set()


def trust(root: str) -> None:
    """Allow manifests to refer to places below a root, until this process ends."""
    _ROOTS.add(root)


@contextmanager
def over_network(asked: bool) -> Iterator[None]:
    """Allow manifests to refer to any bucket inside this context, if ``asked``."""
    added = {"s3:/"} - _ROOTS if asked else set()
    _ROOTS.update(added)
    try:
        yield
    finally:
        _ROOTS.difference_update(added)


def followed(location: object, manifest: str, asked: bool = False) -> str:
    """Return the place a manifest names, if kc may follow it.

    Raises
    ------
    StoreError
        It is no path, or a bucket that the user did not ask for.
    """
    if not isinstance(location, str) or not location:
        raise StoreError(f"{manifest}: 'location' is no path. Fix: remove the manifest")
    if is_remote(location) and not asked and not _is_trusted(location):
        raise StoreError(
            f"{manifest}: its arrays are on the network, in {location!r:.200}. kc did not "
            "access it, since anybody can write a manifest. Fix: if you trust that place, give "
            "--network (in Python: open_store(path, network=True)), or name it instead of "
            "the manifest"
        )
    return location


def _is_trusted(location: str) -> bool:
    roots = {*_ROOTS, os.environ.get(STORAGE_ROOT, "")} - {""}
    return ".." not in location.split("/") and any(
        location.startswith(f"{root.rstrip('/')}/") for root in roots
    )
