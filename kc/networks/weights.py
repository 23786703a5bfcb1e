"""Loading of state dicts into networks; only one common prefix of names is removed."""

import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import takewhile
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from kc.errors import NetworkError
from kc.networks.state import State

LOG = logging.getLogger(__name__)
WRAPPERS = ("module", "_orig_mod")
"""Names under which DataParallel and similar wrappers, and torch.compile, keep the network."""
SHOWN = 6
"""Most names listed per kind of mismatch."""
KIND = "of another kind of number"
FLOATS = "save the weights as float32, dequantised if they were quantised."
AS_SAVED = "name the network they were saved from, built as it was then."


def load_into(
    model: nn.Module,
    state: State,
    file: Path,
    fresh: Collection[str] = (),
    fix: str = AS_SAVED,
) -> str:
    """Load a state dict into a network; every weight must be there and have its shape.

    Tensors that the network does not have are logged and returned as a text for notes.

    Parameters
    ----------
    fresh
        Names of tensors that are not loaded, even if the state dict has them.
    fix
        Fix for a state dict of another network, for the error message.

    Raises
    ------
    NetworkError
        Tensors are missing or have another shape or kind of number, or the file holds the weights
        of two such networks.
    """
    own = tensors_of(model)
    named = named_as(own, state, file, fresh)
    left = [name for name in named if name not in own]
    wanted = {name: value for name, value in own.items() if name not in fresh}
    taken = {name: value for name, value in named.items() if name in wanted}
    faults = _faults(taken, wanted)
    if faults:
        kinds = {"missing in the file": [], "left over": left} | faults
        fix = FLOATS if set(faults) == {KIND} else fix
        listed = [f"{len(names)} {kind} ({some(names)})" for kind, names in kinds.items() if names]
        raise NetworkError(
            f"{file}: not the weights of this network ({len(own)} tensors): {'; '.join(listed)}. "
            f"Fix: {fix}"
        )
    try:
        model.load_state_dict(taken, strict=False)
    except RuntimeError as error:  # torch cannot convert every type of number
        told = " ".join(str(error).split())
        raise NetworkError(f"{file}: {told:.300}. Fix: {FLOATS}") from error
    if left:
        LOG.warning("%s: %d left over, not used (%s)", file, len(left), some(left))
    return f"{len(left)} left over ({some(left)})" if left else ""


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """Return a network's state as the tensors themselves; tied names share one tensor."""
    own = model.state_dict(keep_vars=True)
    return {name: value for name, value in own.items() if isinstance(value, Tensor)}


def _faults(taken: State, wanted: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """List the tensors that cannot be loaded, by reason; empty if all can."""
    given = {id(wanted[name]) for name in taken}
    missing = [
        name
        for name, value in wanted.items()
        # batch norms before 2018 had no counter; tied weights may be saved once
        if name not in taken and not name.endswith("num_batches_tracked") and id(value) not in given
    ]
    shapes = [
        f"{name} {tuple(taken[name].shape)}, expected {tuple(value.shape)}"
        for name, value in wanted.items()
        # a lazy module takes any shape
        if name in taken and not is_lazy(value) and taken[name].shape != value.shape
    ]
    kinds = [
        f"{name} {taken[name].dtype}, expected {value.dtype}"
        for name, value in wanted.items()
        if name in taken and not _is_of_kind(taken[name], value)
    ]
    first: dict[int, str] = {}
    torn = [
        f"{name} and {first[id(value)]}"
        for name, value in wanted.items()
        if name in taken
        and first.setdefault(id(value), name) != name
        and not torch.equal(taken[name], taken[first[id(value)]])
    ]
    found = {
        "missing in the file": missing,
        "of another shape": shapes,
        KIND: kinds,
        "one tensor in the network and two in the file": torn,
    }
    return {kind: names for kind, names in found.items() if names}


def _is_of_kind(value: Tensor, own: Tensor) -> bool:
    """Return whether the numbers can be copied as weights.

    Integers and one-byte floats in place of weights lack the scale that they were stored with.
    """
    if not own.is_floating_point():
        return own.is_complex() or not value.is_complex()
    return value.is_floating_point() and value.element_size() > 1


def named_as(
    own: Mapping[str, Tensor], state: State, file: Path, fresh: Collection[str] = ()
) -> State:
    """Rename a state dict's entries to the names of the network; others keep theirs.

    ``DataParallel`` and ``torch.compile`` put ``module`` or ``_orig_mod`` into names. One prefix
    of the state dict is removed, and one that all names of the network have is added.

    Raises
    ------
    NetworkError
        As :func:`_prefix_of`.
    """
    bare = {name: _bare(name) for name in state}
    if len(set(bare.values())) == len(state) and all(_bare(name) == name for name in own):
        state = {bare[name]: value for name, value in state.items()}
    prefix = _prefix_of(state, own, file, fresh)
    found = _behind(prefix, state, own)
    shared = _shared_prefix(own)
    if shared and len(found) < len(own):
        inner = {name.removeprefix(shared): value for name, value in own.items()}
        left = {name.removeprefix(shared) for name in fresh}
        other = _prefix_of(state, inner, file, left)
        renamed = {f"{shared}{n}": v for n, v in _behind(other, state, inner).items()}
        if len(renamed) > len(found):
            taken = {f"{other}{name.removeprefix(shared)}" for name in renamed}
            return {name: value for name, value in state.items() if name not in taken} | renamed
    return {n: v for n, v in state.items() if n.removeprefix(prefix) not in found} | found


def _behind(prefix: str, state: State, own: Mapping[str, Tensor]) -> State:
    """Return the tensors of a network that a state dict has under a prefix, without it."""
    return {
        name.removeprefix(prefix): value
        for name, value in state.items()
        if name.startswith(prefix) and name.removeprefix(prefix) in own
    }


def _shared_prefix(own: Mapping[str, Tensor]) -> str:
    """Return the prefix that all names of a network have, such as ``backbone.``; or nothing."""
    parts = zip(*(name.split(".")[:-1] for name in own), strict=False)
    shared = [some[0] for some in takewhile(lambda some: len(set(some)) == 1, parts)]
    return "".join(f"{part}." for part in shared)


def _bare(name: str) -> str:
    """Remove what wrappers put into a name."""
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def _prefix_of(
    state: State, own: Mapping[str, Tensor], file: Path, fresh: Collection[str] = ()
) -> str:
    """Find the prefix under which a state dict has every tensor of a network.

    If no prefix has all of them, return that with the most. Names without a prefix win; a prefix
    ends at a dot (``net.``).

    Raises
    ------
    NetworkError
        Two prefixes have all tensors, with different numbers.
    """
    counts: Counter[str] = Counter({"": 0})
    for name in state:
        parts = name.split(".")
        for start in range(len(parts)):
            if ".".join(parts[start:]) in own:
                counts[name[: len(name) - len(".".join(parts[start:]))]] += 1
    wanted = {name: value for name, value in own.items() if name not in fresh}

    def behind(prefix: str) -> State:
        return {name: state[prefix + name] for name in wanted if prefix + name in state}

    full = [prefix for prefix in counts if wanted and not _faults(behind(prefix), wanted)]
    if not full or "" in full:
        return "" if full else max(counts, key=lambda prefix: counts[prefix])
    first = behind(full[0])
    for other in full[1:]:
        if not _are_equal(first, behind(other)):
            names = f"'{full[0]}' and '{other}'"
            raise NetworkError(
                f"{file}: holds this network twice, under {names}, with different numbers; "
                "expected it once. Fix: save only the right one, a dict of its tensors without "
                f"'{full[0]}' in their names, torch.save(DICT, FILE)."
            )
    return full[0]


def _are_equal(one: State, other: State) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def classes_of(state: State, own: Mapping[str, Tensor]) -> int | None:
    """Return the number of classes, if the weights' last layer differs only in this number.

    All its tensors must have this number, including a matrix: a bias alone is a few bytes that
    could request a layer of any size.
    """
    mine = {name: own[name] for name in last_layer(own)}
    theirs = [state[name] for name in mine if name in state]
    counts = {len(value) for value in theirs if value.ndim}
    same = [value.shape[1:] for value in theirs] == [value.shape[1:] for value in mine.values()]
    same = same and any(value.ndim > 1 for value in theirs)
    return counts.pop() if same and len(counts) == 1 and 0 not in counts else None


def last_layer(own: Mapping[str, Tensor]) -> list[str]:
    """Name the tensors of a network's last layer."""
    layer = list(own)[-1].rpartition(".")[0]
    return [name for name in own if name.rpartition(".")[0] == layer]


def some(names: Sequence[str]) -> str:
    """List the first of many names, and how many more there are."""
    more = f", and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
