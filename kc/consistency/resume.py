"""Save the state of a fit regularly: an interruption loses only what was done since.

Rows and batches depend only on the seed and the epoch, so weights, Sigma and the optimiser's
moments are the complete state.
"""

import logging
import time
from pathlib import Path

import torch

from kc.consistency.net import ConsistencyNet
from kc.consistency.optimise import Candidate, Entry, Progress
from kc.consistency.schedule_free import COUNTERS
from kc.errors import StoreError
from kc.store.tensors import read_tensors, write_tensors

LOG = logging.getLogger(__name__)
STATE = "state.safetensors"
EVERY = 30.0
"""Seconds between saves; the state of a shorter fit is never saved."""


class Resume:
    """The state of one fit in one file."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._last = time.monotonic()

    def load(self, net: ConsistencyNet, optimiser: torch.optim.Optimizer) -> Progress | None:
        """Restore a saved state; if there is none or it is damaged, change nothing."""
        if not self.file.is_file():
            return None
        try:
            tensors, about = read_tensors(self.file)
        except StoreError as error:
            LOG.warning("%s; the fit restarts", error)
            return None
        groups: dict[str, dict[str, torch.Tensor]] = {}
        for name, value in tensors.items():
            group, _, inner = name.partition("/")
            groups.setdefault(group, {})[inner] = value.to(net.logits.device)
        net.load_state_dict(groups["net"])
        _put_back(optimiser, groups["optimiser"])
        epoch, ends, settled, best, *entries = about
        LOG.info("the fit resumes after epoch %d", epoch)
        kept = Candidate(Entry.of(best), groups["best"])
        return Progress([Entry.of(line) for line in entries], kept, ends, epoch, settled)

    def save(
        self, net: ConsistencyNet, optimiser: torch.optim.Optimizer, progress: Progress
    ) -> None:
        """Save the state for :meth:`load`, if ``EVERY`` seconds have passed."""
        if time.monotonic() - self._last < EVERY:
            return
        groups = {
            "net": net.state_dict(),
            "best": progress.best.state,
            "optimiser": {
                f"{number}.{name}": value
                for number, state in optimiser.state_dict()["state"].items()
                for name, value in state.items()
            },
        }
        tensors = {
            f"{g}/{name}": value for g, part in groups.items() for name, value in part.items()
        }
        where = [progress.epoch, progress.ends, progress.settled]
        about = [*where, progress.best.entry, *progress.entries]
        write_tensors(self.file, tensors, about)
        self._last = time.monotonic()


def _put_back(optimiser: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    states: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        number, _, name = key.partition(".")
        states.setdefault(int(number), {})[name] = value.cpu() if name in COUNTERS else value
    optimiser.load_state_dict(optimiser.state_dict() | {"state": states})
