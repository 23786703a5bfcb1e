"""A link of the chain behind a table: one product, and whether it is what it was."""

from dataclasses import dataclass, field
from typing import Literal

from kc.names import BESIDE

LinkState = Literal["ok", "missing", "changed", "stale"]
STAGES = (
    *("images", "networks", "activations", "maps", "fits", *BESIDE, "peers", "classes"),
    *("components", "tables"),
)


@dataclass
class Link:
    """One product of the chain, and what it is made from."""

    stage: str
    name: str
    state: LinkState = "ok"
    digest: str = ""
    """What it says of itself now."""
    told: str = ""
    """What it is, or what is wrong with it."""
    target: str = ""
    """What the workflow is asked for to have it made again; empty where no run mends it."""
    links: list["Link"] = field(default_factory=list)
    shown_above: bool = False
    """Whether the same product stands, with all it is made from, further up."""

    def fault(self, state: LinkState, told: str) -> None:
        """Note a fault; the first one named is the state, all are told."""
        if self.state == "ok":
            self.state, self.told = state, told
        else:
            self.told += f"; {told}"

    def faults(self) -> list["Link"]:
        """List the links that do not hold, from the images on, each product once."""
        found = {} if self.state == "ok" else {(self.stage, self.name): self}
        for link in self.links:
            for each in link.faults():
                found.setdefault((each.stage, each.name), each)
        return sorted(found.values(), key=lambda each: STAGES.index(each.stage))
