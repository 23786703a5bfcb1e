"""State dicts put into networks: prefixes are taken off, nothing is guessed."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from kc.errors import NetworkError
from kc.networks.state import State

PREFIXES = ("module.", "_orig_mod.", "model.")
"""What DataParallel, torch.compile and Lightning put before every name."""
SHOWN = 6
"""Names listed of each kind of mismatch."""
AS_SAVED = "name the network they were saved from, made as it was then."


def load_into(
    model: nn.Module,
    state: State,
    file: Path,
    fresh: Collection[str] = (),
    cure: str = AS_SAVED,
) -> None:
    """Put a state dict into a network; every weight must find its place, and be of its shape.

    Parameters
    ----------
    fresh
        Names of the network's that keep what they have, whatever the state dict has for them.
    cure
        What to do about a state dict of another network, for the message.

    Raises
    ------
    NetworkError
        Lists what is missing, what is left over, and what has another shape.
    """
    own = model.state_dict()
    state = unprefixed(state, own)
    wanted = {name: value for name, value in own.items() if name not in fresh}
    # batch norms of before 2018 did not count
    missing = [n for n in wanted if n not in state and not n.endswith(".num_batches_tracked")]
    left = [name for name in state if name not in own]
    shapes = [
        f"{name} {tuple(state[name].shape)}, expected {tuple(value.shape)}"
        for name, value in wanted.items()
        if name in state and state[name].shape != value.shape
    ]
    kinds = {"missing in the file": missing, "left over": left, "of another shape": shapes}
    faults = [f"{len(names)} {kind} ({_some(names)})" for kind, names in kinds.items() if names]
    if faults:
        raise NetworkError(
            f"{file}: not the weights of this network ({len(own)} tensors): {'; '.join(faults)}. "
            f"Cure: {cure}"
        )
    try:
        taken = {name: value for name, value in state.items() if name in wanted}
        model.load_state_dict(taken, strict=False)
    except RuntimeError as error:  # torch cannot convert every type of number
        told = " ".join(str(error).split())
        raise NetworkError(f"{file}: {told:.300}. Cure: save the weights as float32.") from error


def classes_of(state: State, own: Mapping[str, Tensor]) -> int | None:
    """Give the classes of weights whose last layer is the network's but for their number.

    All its tensors must say so, its matrix too: a bias alone is a few bytes that could ask for a
    layer of any size.
    """
    layer = list(own)[-1].rpartition(".")[0]
    mine = {name: value for name, value in own.items() if name.rpartition(".")[0] == layer}
    theirs = [state[name] for name in mine if name in state]
    counts = {len(value) for value in theirs if value.ndim}
    same = [value.shape[1:] for value in theirs] == [value.shape[1:] for value in mine.values()]
    same = same and any(value.ndim > 1 for value in theirs)
    return counts.pop() if same and len(counts) == 1 and 0 not in counts else None


def unprefixed(state: State, own: Mapping[str, Tensor]) -> State:
    """Take off prefixes that all names in the file have and none of the network's own."""
    while state:
        spare = [
            prefix
            for prefix in PREFIXES
            if all(name.startswith(prefix) for name in state)
            and not any(name.startswith(prefix) for name in own)
        ]
        if not spare:
            break
        state = {name.removeprefix(spare[0]): value for name, value in state.items()}
    return state


def _some(names: Sequence[str]) -> str:
    more = f", and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
