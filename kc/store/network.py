"""Whether a manifest may lead over the network: only to where somebody asked for.

A manifest can come from anybody. One that names a bucket would have kc ask that bucket, with the
user's own keys. So it is followed where the user named the place (``storage.root`` of the
workflow's settings, the ``root`` of a writer in this process) or asked for the network.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from kc.errors import StoreError
from kc.names import STORAGE_ROOT
from kc.store.place import is_remote

_ROOTS: set[str] = set()


def trust(root: str) -> None:
    """Let manifests lead below a root for as long as this process lives."""
    _ROOTS.add(root)


@contextmanager
def over_network(asked: bool) -> Iterator[None]:
    """Let manifests lead anywhere in here, if that was asked for."""
    added = {"s3:/"} - _ROOTS if asked else set()
    _ROOTS.update(added)
    try:
        yield
    finally:
        _ROOTS.difference_update(added)


def followed(location: object, manifest: str, asked: bool = False) -> str:
    """Return the place a manifest names, if it may be followed.

    Raises
    ------
    StoreError
        It is no place, or lies over the network where nobody asked for.
    """
    if not isinstance(location, str) or not location:
        raise StoreError(f"{manifest}: 'location' is no path. Fix: remove the manifest")
    if is_remote(location) and not asked and not _is_trusted(location):
        raise StoreError(
            f"{manifest}: its arrays lie over the network, in {location!r:.200}. Nothing was asked "
            "of it, since a manifest may come from anybody. Fix: if you know that place, ask "
            "with --network (in Python: open_store(path, network=True)), or name it in place of "
            "the manifest"
        )
    return location


def _is_trusted(location: str) -> bool:
    roots = {*_ROOTS, os.environ.get(STORAGE_ROOT, "")} - {""}
    return ".." not in location.split("/") and any(
        location.startswith(f"{root.rstrip('/')}/") for root in roots
    )
