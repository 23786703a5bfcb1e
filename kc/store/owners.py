"""Who writes which shards of a store: several owners may, but no shard has two.

An owner holds the lock ``owners/FIRST-STOP``, named by its range of shards. Owners come in one
after another, each through the lock ``door``, which nobody holds for long.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from kc.store.lock import HeldError
from kc.store.place import Closing, Place

PATIENCE = 120.0
"""Seconds to wait at the door: whoever is inside may have a large store to remove."""


@contextmanager
def through_the_door(place: Place, state: str) -> Iterator[None]:
    """Come in alone; waits for its turn."""
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
    """Become the owner of some shards; closing what is given gives them back."""
    return place.lock(f"{state}/owners/{shards.start}-{shards.stop}")


def refuse_others(place: Place, state: str, shards: range | None) -> None:
    """Go no further while others own some of these shards (none: any); for inside the door.

    Raises
    ------
    StoreError
        Another process does; its host, process and SLURM job are named.
    """
    for name in place.names(f"{state}/owners"):
        first, stop = map(int, name.split("-"))
        if shards is None or (first < shards.stop and shards.start < stop):
            place.lock(f"{state}/owners/{name}").close()
