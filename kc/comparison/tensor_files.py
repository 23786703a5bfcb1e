"""Read features from files of tensors, ``.pt``, ``.pth`` and ``.safetensors``, without pickles."""

import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from kc.comparison.kinds import WEIGHTS_FIX, renamed
from kc.errors import FeatureError
from kc.networks.state import DEPTH, as_plain, fault_of, read_torch_file

OF_WEIGHTS = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}
"""Last parts of names that only the tensors of a state dict have."""
NUMPY = (torch.float16, torch.float32, torch.float64)
"""Types of fractions that numpy has; all others are read as float32."""


class WidenedTensor:
    """A tensor of a type that numpy lacks, such as bfloat16: its rows are read as float32."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor
        self.shape = tuple(tensor.shape)
        self.dtype = np.dtype(np.float32)

    def __getitem__(self, rows: Any) -> np.ndarray:
        chosen = rows if isinstance(rows, slice) else torch.from_numpy(np.asarray(rows))
        return np.asarray(self.tensor[chosen].float().numpy())


def read_tensor_file(path: Path, only: str | None = None) -> dict[str, Any]:
    """Open the tensors of a file, by name; their numbers are read on access where possible.

    A tensor alone is named by its file; those of nested dicts by their keys, joined by dots.

    Raises
    ------
    FeatureError
        The file is not readable, holds Python objects, no tensor or a tensor without all its
        numbers, or weights of a network; these may only be named (``only``) one by one.
    """
    try:
        tensors = _opened(path)
        found = {name: _as_array(path, name, value) for name, value in tensors.items()}
    except FeatureError:
        raise
    # a broken file makes its readers raise any error
    except Exception as error:
        # torch prints some of it bold
        reason = re.sub(r"\x1b\[\d*m", "", str(error)).strip().partition("\n")[0]
        is_pickle = path.suffix.lower() != ".safetensors"
        objects = "holds Python objects besides tensors, which kc refuses to run"
        raise FeatureError(
            f"{path}: not readable as {path.suffix} ({type(error).__name__}: {reason:.300}). "
            f"Damaged, or it {objects if is_pickle else 'is of another format'}. Fix: "
            f"{'torch.save' if is_pickle else 'safetensors.torch.save_file'} of a dict of tensors "
            f"by name{renamed(path)}."
        ) from error
    named = [name for name in found if name.rpartition(".")[2] in OF_WEIGHTS]
    if named and only is None:
        raise FeatureError(
            f"{path}: it looks like the weights of a network, not features (its tensors are called "
            f"{', '.join(named[:3])}). Fix: {WEIGHTS_FIX}; if it is features, rename its tensors, "
            "or name one."
        )
    return found


def _opened(path: Path) -> dict[str, Tensor]:
    if path.suffix.lower() == ".safetensors":
        with safe_open(path, "pt") as file:
            # the tensors are maps of the file: no number is read here
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    _check_sums(path)
    whole = read_torch_file(path, mmap=zipfile.is_zipfile(path))
    if isinstance(whole, Tensor):
        return {path.stem: whole}
    if not isinstance(whole, Mapping):
        raise FeatureError(
            f"{path}: it holds a {type(whole).__name__}; expected a tensor, or a dict of tensors "
            "by name. Fix: torch.save({'NAME': tensor}, FILE)."
        )
    found: dict[str, Tensor] = {}
    for name, value in _listed(whole, path):
        if name in found:
            raise FeatureError(
                f"{path}: two of its tensors would be called '{name}'. Fix: rename one."
            )
        found[name] = value
    if not found:
        raise FeatureError(
            f"{path}: no tensor in it, but the keys {', '.join(map(str, whole)):.200}. Fix: "
            "torch.save({'NAME': tensor}, FILE)."
        )
    return found


def _listed(given: Mapping[Any, Any], path: Path, around: str = "") -> Iterator[tuple[str, Tensor]]:
    if around.count(".") >= DEPTH:
        raise FeatureError(f"{path}: its dicts are nested more than {DEPTH} deep. Fix: one dict.")
    for key, value in given.items():
        if isinstance(value, Tensor):
            yield f"{around}{key}", value
        elif isinstance(value, Mapping):
            yield from _listed(value, path, f"{around}{key}.")


def _check_sums(path: Path) -> None:
    """Refuse a damaged zip: torch.load does not compare the checksums of its parts."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as parts:
        wrong = parts.testzip()
    if wrong is not None:
        raise FeatureError(
            f"{path}: damaged: its part '{wrong}' does not match its checksum. Fix: copy the file "
            "again, or torch.save the tensors again."
        )


def _as_array(path: Path, name: str, value: Tensor) -> Any:
    """Return a tensor as an array of numpy over the same memory, or as its rows in float32."""
    if fault := fault_of(value):
        raise FeatureError(
            f"{path}: '{name}' of shape {tuple(value.shape)} {fault}; expected a tensor whose "
            "numbers are all in the file. Fix: save a plain copy, tensor.to_dense().clone()."
        )
    dense = as_plain(value.detach()).resolve_conj().resolve_neg()
    if dense.is_floating_point() and dense.dtype not in NUMPY:
        return WidenedTensor(dense)
    return (dense.to(torch.complex64) if dense.dtype == torch.complex32 else dense).numpy()
