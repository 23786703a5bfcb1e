"""State dicts as people keep them: nested, prefixed, pickled or not; never run, never guessed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from kc.errors import NetworkError

State = dict[str, Tensor]

NESTED = ("state_dict", "model_state_dict", "model", "network", "net")
"""Keys under which checkpoints hold the state dict, beside epochs and optimisers."""
PREFIXES = ("module.", "_orig_mod.", "model.")
"""What DataParallel, torch.compile and Lightning put before every name."""
SHOWN = 6
"""Names listed of each kind of mismatch."""


def read_state(file: Path) -> State:
    """Read the tensors of a state dict, from under the keys checkpoints put them.

    Nothing in the file is run: pickles are read with ``weights_only=True``.

    Raises
    ------
    NetworkError
        The file is missing, is not readable so, or holds no tensors.
    """
    if not file.is_file():
        raise NetworkError(f"{file}: no such file; expected weights (.pt, .pth, .th, .safetensors)")
    found = _read(file)
    while isinstance(found, Mapping):
        inner = [found[key] for key in NESTED if isinstance(found.get(key), Mapping)]
        if not inner:
            break
        found = inner[0]
    named = found if isinstance(found, Mapping) else {}
    tensors = {str(name): value for name, value in named.items() if isinstance(value, Tensor)}
    if not tensors:
        holds = f"the keys {', '.join(map(str, named))}" if named else type(found).__name__
        raise NetworkError(
            f"{file}: no tensors by name in it, but {holds:.200}. Cure: save the network's own, "
            "torch.save(model.state_dict(), FILE)"
        )
    return tensors


def load_into(model: nn.Module, state: State, file: Path) -> None:
    """Put a state dict into a network; every weight must find its place, and be of its shape.

    Raises
    ------
    NetworkError
        Lists what is missing, what is left over, and what has another shape.
    """
    own = model.state_dict()
    state = unprefixed(state, own)
    # batch norms of before 2018 did not count
    missing = [n for n in own if n not in state and not n.endswith(".num_batches_tracked")]
    left = [name for name in state if name not in own]
    shapes = [
        f"{name} {tuple(state[name].shape)}, expected {tuple(value.shape)}"
        for name, value in own.items()
        if name in state and state[name].shape != value.shape
    ]
    kinds = {"missing in the file": missing, "left over": left, "of another shape": shapes}
    told = [f"{len(names)} {kind} ({_some(names)})" for kind, names in kinds.items() if names]
    if told:
        raise NetworkError(
            f"{file}: not the weights of this network ({len(own)} tensors): {'; '.join(told)}. "
            "Cure: name the network they were saved from, made as it was then."
        )
    model.load_state_dict(state, strict=False)


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


def _read(file: Path) -> Any:
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        return torch.load(file, map_location="cpu", weights_only=True)
    # whatever a broken file makes its readers raise
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise NetworkError(
            f"{file}: not readable as weights ({type(error).__name__}: {reason:.200}). Damaged, or "
            "it holds Python objects beside tensors, which kc refuses to run. Cure: save tensors "
            "alone, torch.save(model.state_dict(), FILE)"
        ) from error


def _some(names: Sequence[str]) -> str:
    more = f", and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
