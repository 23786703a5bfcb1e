"""Tensors of a file of weights, as people keep them: nested, pickled or not; nothing is run."""

import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from kc.errors import NetworkError

State = dict[str, Tensor]

NESTED = ("state_dict", "model_state_dict", "model", "network", "net")
"""Keys under which checkpoints hold the state dict, beside epochs and optimisers."""
DEPTH = 8
"""State dicts within each other; deeper ones are taken for a ring."""
SMALL = 1 << 20
"""Bytes up to which a tensor may repeat numbers: masks and grids are kept so."""


def read_state(file: Path) -> State:
    """Read the tensors of a state dict, from under the keys checkpoints put them.

    Nothing in the file is run: pickles are read with ``weights_only=True``.

    Raises
    ------
    NetworkError
        The file is missing, is not readable so, holds no tensors, or one whose numbers are not
        in the file.
    """
    if not file.is_file():
        raise NetworkError(f"{file}: no such file; expected weights (.pt, .pth, .th, .safetensors)")
    found = _innermost(file, _read(file))
    named = found if isinstance(found, Mapping) else {}
    tensors = {str(name): value for name, value in named.items() if isinstance(value, Tensor)}
    if not tensors:
        holds = f"the keys {', '.join(map(str, named))}" if named else type(found).__name__
        raise NetworkError(
            f"{file}: no tensors by name in it, but {holds:.200}. Cure: save the network's own, "
            "torch.save(model.state_dict(), FILE)"
        )
    for name, value in tensors.items():
        if fault := _fault(value):
            raise NetworkError(
                f"{file}: '{name:.200}' of shape {tuple(value.shape)} {fault}; expected a tensor "
                "whose numbers all lie in the file. Cure: save plain copies, "
                "torch.save({n: v.to_dense().clone() for n, v in model.state_dict().items()}, FILE)"
            )
    return tensors


def _innermost(file: Path, found: Any) -> Any:
    """Go to the state dict, through the keys checkpoints put it under."""
    for _ in range(DEPTH):
        held = [found[key] for key in NESTED if key in found] if isinstance(found, Mapping) else []
        inner = [each for each in held if isinstance(each, Mapping)]
        if not inner:
            return found
        found = inner[0]
    raise NetworkError(
        f"{file}: holds dicts in dicts, {DEPTH} deep or without an end. Cure: save the network's "
        "own, torch.save(model.state_dict(), FILE)"
    )


def _read(file: Path) -> Any:
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        _check_unpacked(file)
        with warnings.catch_warnings():
            # of kinds of tensors that are refused by name below
            warnings.simplefilter("ignore")
            return torch.load(file, map_location="cpu", weights_only=True)
    # whatever a broken file makes its readers raise
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise NetworkError(
            f"{file}: not readable as weights ({type(error).__name__}: {reason:.200}). Damaged, or "
            "it holds Python objects beside tensors, which kc refuses to run. Cure: save tensors "
            "alone, torch.save(model.state_dict(), FILE)"
        ) from error


def _check_unpacked(file: Path) -> None:
    """Refuse a zip that unpacks to more than it holds; torch packs nothing, but reads it so."""
    with file.open("rb") as start:
        if start.read(4) != b"PK\x03\x04":
            return
    with zipfile.ZipFile(file) as packed:
        total = sum(member.file_size for member in packed.infolist())
    held = file.stat().st_size
    if total > held:
        raise ValueError(f"its {held:,} bytes unpack to {total:,}")


def _fault(value: Tensor) -> str:
    """Say why a tensor cannot be taken as it is; empty: it can."""
    if value.layout is not torch.strided:
        return f"is sparse ({value.layout})"
    if value.device.type != "cpu":
        return f"has no numbers (it is on the device '{value.device}')"
    if value.is_quantized:
        return "is quantised"
    asked, there = value.numel() * value.element_size(), value.untyped_storage().nbytes()
    if asked > max(there, SMALL):
        return f"asks for {asked:,} bytes of the {there:,} it has"
    return ""
