"""Where a fit stands, kept in a file now and then: a kill costs what was done since, no more.

Rows and batches are functions of the seed and the epoch, so weights, Sigma and the optimiser's
moments are all the state there is.
"""

import logging
import time
from pathlib import Path
from typing import NamedTuple

import torch

from kc.consistency.net import ConsistencyNet
from kc.consistency.optimise import Candidate, Entry, Progress
from kc.errors import StoreError
from kc.store.tensors import read_tensors, write_tensors

LOG = logging.getLogger(__name__)
STATE = "state.safetensors"
EVERY = 30.0
"""Seconds between two savings; a fit of fewer seconds is never saved."""


class Begun(NamedTuple):
    """A fit that was left: its start, and its epochs so far."""

    first: Candidate
    progress: Progress


class Resume:
    """The state of one fit in one file."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._last = time.monotonic()

    def load(self, net: ConsistencyNet, optimiser: torch.optim.Optimizer) -> Begun | None:
        """Put a saved state back; none, or a damaged one: leave both as they are."""
        if not self.file.is_file():
            return None
        try:
            tensors, about = read_tensors(self.file)
        except StoreError as error:
            LOG.warning("%s; the fit starts anew", error)
            return None
        groups: dict[str, dict[str, torch.Tensor]] = {}
        for name, value in tensors.items():
            group, _, inner = name.partition("/")
            groups.setdefault(group, {})[inner] = value.to(net.logits.device)
        net.load_state_dict(groups["net"])
        _put_back(optimiser, groups["optimiser"])
        first, best, *entries = [_entry(line) for line in about]
        LOG.info("the fit goes on after epoch %d", entries[-1].epoch)
        progress = Progress(entries, Candidate(best, groups["best"]))
        return Begun(Candidate(first, groups["first"]), progress)

    def save(self, net: ConsistencyNet, optimiser: torch.optim.Optimizer, begun: Begun) -> None:
        """Save what :meth:`load` puts back, if it is time."""
        if time.monotonic() - self._last < EVERY:
            return
        first, progress = begun
        assert progress.best is not None
        groups = {
            "net": net.state_dict(),
            "first": first.state,
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
        write_tensors(self.file, tensors, [first.entry, progress.best.entry, *progress.entries])
        self._last = time.monotonic()


def _put_back(optimiser: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    states: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        number, _, name = key.partition(".")
        # a step counter lives on the CPU, wherever the weights are
        states.setdefault(int(number), {})[name] = value.cpu() if name == "step" else value
    optimiser.load_state_dict(optimiser.state_dict() | {"state": states})


def _entry(line: list[object]) -> Entry:
    epoch, stage, train_mse, validation_mse, gains, penalty = line
    return Entry(epoch, stage, train_mse, validation_mse, tuple(gains), penalty)  # type: ignore[arg-type]
