"""Read and write tensors as safetensors (no pickles), with a checksum."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import xxhash
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from kc.errors import StoreError
from kc.plans.commands import fix_at
from kc.store.files import write_bytes_atomic

NOTE = "kc"


def write_tensors(path: Path, tensors: Mapping[str, Tensor], about: Any = None) -> None:
    """Write tensors and ``about``, which JSON can hold, to a temporary file, then rename it.

    Raises
    ------
    StoreError
        The disk is full.
    """
    whole = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    text = json.dumps(about)
    # a single entry: safetensors writes several in any order, and files must be reproducible
    note = json.dumps([_checksum(whole, text), about])
    write_bytes_atomic(path, save(whole, metadata={NOTE: note}))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], Any]:
    """Read what :func:`write_tensors` wrote: the tensors, on the CPU, and ``about``.

    Raises
    ------
    StoreError
        The file is missing or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            checksum, about = json.loads((file.metadata() or {})[NOTE])
        if checksum != _checksum(tensors, json.dumps(about)):
            raise ValueError
    except FileNotFoundError:
        raise StoreError(f"{path}: no such file") from None
    except (SafetensorError, KeyError, ValueError, TypeError):
        raise StoreError(
            f"{path}: damaged, it does not match its own checksum. Fix: {fix_at(path)}"
        ) from None
    return tensors, about


def _checksum(tensors: Mapping[str, Tensor], text: str) -> str:
    digest = xxhash.xxh3_128(text.encode())
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy())
    return str(digest.hexdigest())
