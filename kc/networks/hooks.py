"""Recording of features by hooks on modules, for networks that torch.fx cannot trace."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import is_dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from kc.errors import NetworkError
from kc.networks.tap import call_name

ROOT = "forward"
"""Name of the whole network's output; no submodule can have it."""
RunNetwork = Callable[[nn.Module, Tensor], Any]
"""Runs a network on pictures."""


class _Enough(BaseException):
    """Raised after the last wanted call, so that the rest is not run; caught in this module."""


class Survey(NamedTuple):
    """What all modules of a network returned in one pass."""

    features: dict[str, Tensor | None]
    """Every tensor, in order, by layer; None if it was not wanted."""
    origins: dict[str, str]
    """The module of each layer."""
    counts: Counter[str]
    """Calls of each module."""


def survey(
    network: nn.Module, run: RunNetwork, pictures: Tensor, wanted: Collection[str] | None = None
) -> Survey:
    """Run a network and name every tensor that its modules return.

    A layer has the name of its module, as in ``named_modules``; a tensor in a tuple, list, dict
    or dataclass is a layer of its own: ``block:0``, ``encoder:last_hidden_state``. Later calls of
    a module get ``_1``, ``_2``, ..., as in a graph. The whole network is called ``forward``.

    Parameters
    ----------
    wanted
        Layers whose features are kept, as copies; None: all.
    """
    found = Survey({}, {}, Counter())
    paths = paths_of(network)

    def keep(path: str, given: object) -> None:
        name = call_name(path, found.counts[path], paths)
        found.counts[path] += 1
        for layer, leaf in leaves(name, given):
            if layer not in found.features:
                is_kept = wanted is None or layer in wanted
                found.features[layer] = leaf.clone() if is_kept else None
                found.origins[layer] = path

    with _hooked(paths, paths, keep):
        run(network, pictures)
    return found


class Hooked(nn.Module):
    """A network whose forward returns the features of some layers, named as by :func:`survey`.

    Features are copied as they are made, so that in-place operations do not overwrite them. What
    runs after the last call of the last wanted module is left out.

    Parameters
    ----------
    counts
        How often each module of a wanted layer is called, as the survey counted.
    """

    def __init__(
        self, network: nn.Module, run: RunNetwork, wanted: Sequence[str], counts: Mapping[str, int]
    ) -> None:
        super().__init__()
        self.network, self.run = network, run
        self.wanted, self.counts = tuple(wanted), Counter(counts)
        self.stops = True
        """Whether the rest is left out."""

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        """Return the features of a batch by layer.

        Raises
        ------
        NetworkError
            A module is not called as often as the survey counted.
        """
        paths = paths_of(self.network)
        found: dict[str, Tensor] = {}
        counts: Counter[str] = Counter()

        def keep(path: str, given: object) -> None:
            name = call_name(path, counts[path], paths)
            counts[path] += 1
            for layer, leaf in leaves(name, given):
                if layer in self.wanted and layer not in found:
                    found[layer] = leaf.clone()
            if self.stops and all(counts[path] >= most for path, most in self.counts.items()):
                raise _Enough

        with suppress(_Enough), _hooked(paths, self.counts, keep):
            self.run(self.network, pictures)
        self._check(counts, found)
        return {layer: found[layer] for layer in self.wanted}

    def _check(self, counts: Counter[str], found: Mapping[str, Tensor]) -> None:
        for path, expected in self.counts.items():
            if counts[path] != expected:
                raise NetworkError(
                    f"module '{path}' is called {counts[path]} times for these pictures, and "
                    f"{expected} times for others, so its calls are not the same layers. Fix: "
                    "take a module that is called equally often for all pictures."
                )
        for layer in self.wanted:
            if layer not in found:
                raise NetworkError(
                    f"layer '{layer}' is no tensor for these pictures, and is one for others. "
                    "Fix: take a module that returns the same for all pictures."
                )


def leaves(name: str, given: object) -> Iterator[tuple[str, Tensor]]:
    """Name the tensors in a module's output: in tuples, lists, dicts and dataclasses."""
    if isinstance(given, Tensor):
        yield name, given
        return
    for key, part in _parts(given):
        yield from leaves(f"{name}:{key}", part)


def paths_of(network: nn.Module) -> dict[str, nn.Module]:
    """Return the modules of a network by name; itself under ``forward``."""
    return {path or ROOT: module for path, module in network.named_modules()}


@contextmanager
def without_fastpath() -> Iterator[None]:
    """Turn torch's fused transformer layers off, which skip modules and give other roundings."""
    was = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was)


def _parts(given: Any) -> Iterable[tuple[object, object]]:
    if isinstance(given, tuple) and hasattr(given, "_asdict"):
        given = given._asdict()
    if isinstance(given, Mapping):
        return given.items()
    if isinstance(given, (tuple, list)):
        return enumerate(given)
    if is_dataclass(given) and not isinstance(given, type):
        return vars(given).items()
    return ()


@contextmanager
def _hooked(
    paths: Mapping[str, nn.Module], wanted: Iterable[str], keep: Callable[[str, object], None]
) -> Iterator[None]:
    """Call ``keep`` with the name and the output of each call of some modules."""
    handles = [paths[path].register_forward_hook(_hook(path, keep)) for path in wanted]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _hook(path: str, keep: Callable[[str, object], None]) -> Callable[..., None]:
    return lambda _, __, given: keep(path, given)
