"""A link of the chain behind a table: one product, and whether it is unchanged."""

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
    """One product of the chain, and what it was made from."""

    stage: str
    name: str
    state: LinkState = "ok"
    digest: str = ""
    """Its digest now."""
    told: str = ""
    """A description of the product or of its fault."""
    target: str = ""
    """File that the workflow makes to fix it; empty if no run fixes it."""
    links: list["Link"] = field(default_factory=list)
    shown_above: bool = False
    """Whether the product is shown further up, with all it was made from."""

    def fault(self, state: LinkState, told: str) -> None:
        """Add a fault; the first one sets the state, all are described."""
        if self.state == "ok":
            self.state, self.told = state, told
        else:
            self.told += f"; {told}"

    def faults(self) -> list["Link"]:
        """List the links that do not hold, each product once, images first."""
        found = {} if self.state == "ok" else {(self.stage, self.name): self}
        for link in self.links:
            for each in link.faults():
                found.setdefault((each.stage, each.name), each)
        return sorted(found.values(), key=lambda each: STAGES.index(each.stage))
