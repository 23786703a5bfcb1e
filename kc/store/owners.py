"""Assign the shards of a store to writers: a store may have several owners, a shard only one.

An owner holds the lock ``owners/FIRST-STOP``, named by its range of shards. Owners enter one after
another through the lock ``door``, which each holds only for a short time.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from kc.store.lock import HeldError
from kc.store.place import Closing, Place

PATIENCE = 120.0
"""Seconds to wait at the door: its holder may have to remove a large store."""


@contextmanager
def through_the_door(place: Place, state: str) -> Iterator[None]:
    """Hold the door alone; wait until it is free."""
    last = time.monotonic() + PATIENCE
    while True:
        try:
            held = place.lock(f"{state}/door")
            break
        except HeldError:
            if time.monotonic() > last:
                raise
            time.sleep(0.05)
    try:
        yield
    finally:
        held.close()


def own(place: Place, state: str, shards: range) -> Closing:
    """Become the owner of some shards, until the returned lock is closed."""
    return place.lock(f"{state}/owners/{shards.start}-{shards.stop}")


def refuse_others(place: Place, state: str, shards: range | None) -> None:
    """Refuse to write while others own some of these shards (None: any); call it inside the door.

    Raises
    ------
    StoreError
        Another process owns them; its host, process and SLURM job are named.
    """
    for name in place.names(f"{state}/owners"):
        first, stop = map(int, name.split("-"))
        if shards is None or (first < shards.stop and shards.start < stop):
            place.lock(f"{state}/owners/{name}").close()
