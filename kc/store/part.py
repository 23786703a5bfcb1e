"""Where stores are written, and the part of them that one of several jobs writes."""

from pathlib import Path
from typing import NamedTuple


class JobPart(NamedTuple):
    """One of several jobs that write a store together; each owns shards that lie side by side."""

    number: int = 0
    of: int = 1

    def shards(self, total: int) -> range:
        """Return the shards owned of ``total``; none where there are more parts than shards."""
        return range(self.number * total // self.of, (self.number + 1) * total // self.of)


WHOLE = JobPart()


class Destination(NamedTuple):
    """Where stores go; a folder alone says it all where nothing else is asked for."""

    folder: Path
    """Of the manifests."""
    root: str = ""
    """Holds the stores in its place (:class:`kc.store.StoreWriter`)."""
    part: JobPart = WHOLE
    """The shards that are written; only all of them make a finished store."""

    @classmethod
    def of(cls, out: "Path | Destination") -> "Destination":
        """Take a folder for the stores, whole, in it."""
        return cls(out) if isinstance(out, Path) else out
