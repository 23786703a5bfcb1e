"""Convert pictures to what a user's network takes: grey for one channel, its precision."""

import inspect
from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from kc.comparison.modules import run_plainly
from kc.comparison.networks import OwnNetwork
from kc.comparison.running import run
from kc.errors import NetworkError

GREY = (0.299, 0.587, 0.114)
"""Shares of red, green and blue (ITU-R BT.601)."""
SIZES = (224, 32, 28, 64, 96, 128, 256, 299, 384)
"""Sizes in px that are tried if the requested one fails."""


class Intake(NamedTuple):
    """The conversion of normalised pictures (n, 3, y, x) to what a network takes."""

    grey: bool = False
    dtype: torch.dtype = torch.float32

    def __call__(self, pictures: Tensor) -> Tensor:
        """Convert pictures."""
        if self.grey:
            shares = pictures.new_tensor(GREY).reshape(1, 3, 1, 1)
            pictures = (pictures * shares).sum(1, keepdim=True)
        return pictures.to(self.dtype)

    def told(self) -> str:
        """Describe the conversion; empty if there is none."""
        parts = ["made grey (0.299 R + 0.587 G + 0.114 B)"] if self.grey else []
        if self.dtype != torch.float32:
            parts.append(f"cast to {str(self.dtype).removeprefix('torch.')}, as its parameters are")
        return f"pictures {' and '.join(parts)}" if parts else ""


def intake_of(network: OwnNetwork, size: int) -> Intake:
    """Find by trial which pictures a network takes: unchanged, in its precision, or grey.

    Return the first conversion that gives one row for each picture, else the first without error.

    Raises
    ------
    NetworkError
        It needs more than pictures, or takes none of this size; the error says which it takes.
    """
    _check_arguments(network)
    ways, errors = _tried(network, size)
    if ways:
        return max(ways, key=lambda way: ways[way])
    raise NetworkError(_why_not(network, size, errors)) from errors[-1]


def drawn(network: OwnNetwork, size: int, count: int = 2) -> Tensor:
    """Draw random pictures on the network's device; the first are the same for any count."""
    generator = torch.Generator().manual_seed(0)
    pictures = [torch.randn((1, 3, size, size), generator=generator) for _ in range(count)]
    return torch.cat(pictures).to(next(network.model.parameters(), pictures[0]).device)


def tensors_in(given: object) -> list[Tensor]:
    """List the tensors in a network's output: in tuples, lists, dicts and dataclasses."""
    waiting, found = [given], []
    while waiting:
        for leaf in tree_leaves(waiting.pop(0)):
            if isinstance(leaf, Tensor):
                found.append(leaf)
            elif is_dataclass(leaf):
                waiting.append(dict(vars(leaf)))
    return found


def _tried(network: OwnNetwork, size: int) -> tuple[dict[Intake, bool], list[Exception]]:
    """Try conversions until one gives one row for each picture; return them and the errors."""
    pictures = drawn(network, size)
    ways: dict[Intake, bool] = {}
    errors: list[Exception] = []
    for way in _ways(network.model):
        try:
            given = tensors_in(run(network, way(pictures)))
        except Exception as error:
            errors.append(error)
            continue
        ways[way] = any(value.ndim > 0 and len(value) == len(pictures) for value in given)
        if ways[way]:
            break
    return ways, errors


def _ways(model: nn.Module) -> Iterator[Intake]:
    own = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    for grey in (False, True):
        yield from (Intake(grey, dtype) for dtype in dict.fromkeys((torch.float32, own)))


def _check_arguments(network: OwnNetwork) -> None:
    """Refuse a forward that needs more than pictures; other arguments keep their default."""
    if network.run is not run_plainly:
        return
    takes = inspect.signature(network.model.forward).parameters.values()
    needed = [
        each
        for each in takes
        if each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    ]
    placed = [each for each in takes if each.kind not in (each.KEYWORD_ONLY, each.VAR_KEYWORD)]
    if len(needed) > 1 or not placed or any(each.kind is each.KEYWORD_ONLY for each in needed):
        names = ", ".join(each.name for each in needed) or "nothing"
        raise NetworkError(
            f"{network.name}: its forward needs {names}; expected one argument, the pictures "
            "(others may have defaults). Fix: let a function in FILE.py return (network, call), "
            "where call(network, pictures) runs it and fills in the rest; in Python, "
            "kc.comparison.OwnNetwork(NAME, network, run=call)."
        )


def _why_not(network: OwnNetwork, size: int, errors: list[Exception]) -> str:
    """Return the error text for a network that does not take pictures of a size."""
    first = next((m for m in network.model.modules() if isinstance(m, nn.Conv2d)), None)
    channels = 3 if first is None else first.in_channels
    # in colour first, then grey
    error = errors[-1] if channels == 1 else errors[len(errors) // 2 - 1]
    told = f"({type(error).__name__}: {' '.join(str(error).split()):.300})"
    for other in SIZES:
        if other != size and any(_tried(network, other)[0].values()):
            return (
                f"{network.name}: does not take pictures of {size} px {told}. Fix: the size it "
                f"was made for, with --size; it takes {other}."
            )
    if channels not in (1, 3):
        return (
            f"{network.name}: takes {channels} channels, and pictures have 3, or 1 made grey "
            f"{told}. Fix: wrap it in a module of yours that makes {channels} of 3."
        )
    return (
        f"{network.name}: takes no pictures, neither of {size} px nor of {SIZES[0]} or other usual "
        f"sizes {told}. Fix: let net(torch.zeros(2, 3, {size}, {size})) run in Python; its "
        "forward must take a batch (n, 3, y, x), or (n, 1, y, x). If it needs more than pictures, "
        "let a function in FILE.py return (network, call), where call(network, pictures) runs it."
    )
