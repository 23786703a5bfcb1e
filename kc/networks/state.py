"""Reader of tensors from files of weights, pickled or not, without running code."""

import re
import warnings
import zipfile
from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from kc.errors import NetworkError

State = dict[str, Tensor]

DEPTH = 8
"""Most levels of nested dicts that are read."""
DENSER = 100
"""Most numbers of a sparse tensor per stored number: 99 % zeros."""
SMALL = 1 << 20
"""Bytes up to which a tensor may repeat stored numbers, as masks and grids do."""


def read_state(file: Path) -> State:
    """Read the tensors of a state dict, without the keys that a checkpoint puts around it.

    No code in the file is run: pickles are read with ``weights_only=True``. Keys of nested dicts
    are joined by a dot, without the keys that all tensors share; sparse and quantised tensors
    become plain ones; aliases in safetensors get their tensor.

    Raises
    ------
    NetworkError
        The file is missing or not readable, holds no tensors, or a tensor without all its numbers.
    """
    if not file.is_file():
        raise NetworkError(f"{file}: no such file; expected weights (.pt, .pth, .th, .safetensors)")
    found = _read(file)
    tensors = _by_name(file, found)
    if not tensors:
        keys = ", ".join(map(str, found)) if isinstance(found, Mapping) else ""
        holds = f"the keys {keys}" if keys else type(found).__name__
        raise NetworkError(
            f"{file}: it has no named tensors, but {holds:.200}. Fix: save a state dict, "
            "torch.save(model.state_dict(), FILE)"
        )
    for name, value in tensors.items():
        if fault := fault_of(value):
            raise NetworkError(
                f"{file}: '{name:.200}' of shape {tuple(value.shape)} {fault}; expected a tensor "
                "whose numbers are all in the file. Fix: save plain copies, "
                "torch.save({n: v.to_dense().clone() for n, v in model.state_dict().items()}, FILE)"
            )
    return {name: as_plain(value) for name, value in tensors.items()}


def _by_name(file: Path, found: Any) -> State:
    """List the tensors of nested dicts; each dict is read once, so that circles end."""
    tensors: dict[tuple[str, ...], Tensor] = {}
    waiting: list[tuple[tuple[str, ...], Any]] = [((), found)]
    seen: set[int] = set()
    cut = False
    while waiting:
        path, inner = waiting.pop(0)
        if not isinstance(inner, Mapping) or id(inner) in seen:
            cut = cut or id(inner) in seen
            continue
        if len(path) == DEPTH:
            cut = True
            continue
        seen.add(id(inner))
        named = {str(key): value for key, value in inner.items()}
        tensors |= {(*path, k): v for k, v in named.items() if isinstance(v, Tensor)}
        # the state of an optimiser has numbers as keys
        if not any(isinstance(key, int) for key in inner):
            waiting += [((*path, k), v) for k, v in named.items() if isinstance(v, Mapping)]
    if cut and not tensors:
        raise NetworkError(
            f"{file}: its dicts are nested {DEPTH} deep, or in a circle. Fix: save a state dict, "
            "torch.save(model.state_dict(), FILE)"
        )
    levels = zip(*(path[:-1] for path in tensors), strict=False)
    shared = sum(1 for _ in takewhile(lambda keys: len(set(keys)) == 1, levels))
    return {".".join(path[shared:]): value for path, value in tensors.items()}


def _read(file: Path) -> Any:
    try:
        if file.suffix == ".safetensors":
            return _aliased(load_file(file), file)
        return read_torch_file(file)
    # a broken file makes its readers raise any error
    except Exception as error:
        # torch prints some of it bold
        reason = re.sub(r"\x1b\[\d*m", "", str(error)).strip().partition("\n")[0]
        raise NetworkError(
            f"{file}: not readable as weights ({type(error).__name__}: {reason:.200}). Damaged, or "
            "it holds Python objects besides tensors, which kc refuses to run. Fix: save only "
            "tensors, torch.save(model.state_dict(), FILE)"
        ) from error


def read_torch_file(file: Path, mmap: bool = False) -> Any:
    """Read what ``torch.save`` wrote, on the CPU, without running code; it may raise any error.

    ``mmap``: leave the numbers in the file until they are used; only for files that are zips.
    """
    _check_unpacked(file)
    with warnings.catch_warnings():
        # torch warns that sparse tensors are validated and quantised ones are deprecated
        warnings.simplefilter("ignore")
        return torch.load(file, map_location="cpu", weights_only=True, mmap=mmap)


def _aliased(tensors: State, file: Path) -> State:
    """Add the names that ``safetensors.torch.save_model`` omits: it stores tied tensors once."""
    with safe_open(file, "pt") as opened:
        aliases = opened.metadata() or {}
    more = {name: tensors[kept] for name, kept in aliases.items() if kept in tensors}
    return more | tensors


def _check_unpacked(file: Path) -> None:
    """Refuse a compressed zip: torch can read one, but never writes one."""
    with file.open("rb") as start:
        if start.read(4) != b"PK\x03\x04":
            return
    with zipfile.ZipFile(file) as packed:
        total = sum(member.file_size for member in packed.infolist())
    held = file.stat().st_size
    if total > held:
        raise ValueError(f"its {held:,} bytes unpack to {total:,}")


def fault_of(value: Tensor) -> str:
    """Return why a tensor cannot be used; empty if it can."""
    if value.device.type != "cpu":
        return f"has no numbers (it is on the device '{value.device}')"
    asked = value.numel() * value.element_size()
    if value.layout is not torch.strided:
        kept = value._values() if value.layout is torch.sparse_coo else value.values()
        there = DENSER * kept.untyped_storage().nbytes()
        return f"is sparse and has {asked:,} bytes when dense" if asked > max(there, SMALL) else ""
    there = value.untyped_storage().nbytes()
    if asked > max(there, SMALL):
        return f"needs {asked:,} bytes, but has {there:,}"
    return ""


def as_plain(value: Tensor) -> Tensor:
    """Return a sparse or quantised tensor as a plain one; others unchanged."""
    if value.is_quantized:
        return value.dequantize()
    return value if value.layout is torch.strided else value.to_dense()
