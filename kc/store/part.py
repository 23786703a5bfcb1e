"""The part of a store that one of several jobs writes."""

from typing import NamedTuple


class Part(NamedTuple):
    """One of several jobs that write a store together; each owns shards that lie side by side."""

    number: int = 0
    of: int = 1

    def shards(self, total: int) -> range:
        """Give the shards owned of ``total``; none where there are more parts than shards."""
        return range(self.number * total // self.of, (self.number + 1) * total // self.of)


WHOLE = Part()
