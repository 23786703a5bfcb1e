"""Where stores are written, and which part of them a job writes."""

from pathlib import Path
from typing import NamedTuple


class JobPart(NamedTuple):
    """One of several jobs that write a store together; each owns consecutive shards."""

    number: int = 0
    of: int = 1

    def shards(self, total: int) -> range:
        """Return the owned shards of ``total``; none if there are more parts than shards."""
        return range(self.number * total // self.of, (self.number + 1) * total // self.of)


WHOLE = JobPart()


class Destination(NamedTuple):
    """Where stores are written; usually a folder is enough."""

    folder: Path
    """Folder of the manifests."""
    root: str = ""
    """Folder or bucket of the stores, if it is another (:class:`kc.store.StoreWriter`)."""
    part: JobPart = WHOLE
    """The shards to write; a store is finished only by a job that owns all."""

    @classmethod
    def of(cls, out: "Path | Destination") -> "Destination":
        """Turn a folder into a destination of complete stores."""
        return cls(out) if isinstance(out, Path) else out
