"""Save and load a fitted g: weights, gains, Sigma and units in safetensors, the rest as text."""

from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from kc.consistency.decompose import Normalisation
from kc.consistency.net import ConsistencyNet
from kc.consistency.optimise import Entry
from kc.consistency.result import FitAbout, FitResult
from kc.consistency.resume import STATE
from kc.store.files import write_bytes_atomic
from kc.store.product import read_card
from kc.store.tensors import read_tensors, write_tensors

WEIGHTS = "g.safetensors"
HISTORY = "history.csv"
VARIANCES = ("variances.csv", "variances_channels.csv")
FILES = (WEIGHTS, HISTORY, *VARIANCES, STATE)
"""All files that are written to a fit's folder."""


def save_fit(result: FitResult, folder: Path) -> list[str]:
    """Write the weights and the history; return both file names."""
    net = result.net
    tensors = dict(net.state_dict())
    tensors["rows.train"] = torch.from_numpy(result.train)
    tensors["rows.validation"] = torch.from_numpy(result.validation)
    for name, value in result.normalisation._asdict().items():
        if isinstance(value, Tensor):
            tensors[f"units.{name}"] = value
    about = {
        "source_shape": net.source_shape,
        "target_shape": net.target_shape,
        "order": net.order,
        "kernel_size": net.kernel_size,
        "sigma": net.sigma,
        "gain": net.gain,
        "rank": net.rank,
        "normalisation": [None if isinstance(v, Tensor) else v for v in result.normalisation],
        "chosen": result.chosen,
        "about": result.about,
    }
    write_tensors(folder / WEIGHTS, tensors, about)
    write_bytes_atomic(folder / HISTORY, result.history.to_csv(index=False).encode())
    return [WEIGHTS, HISTORY]


def load_fit(folder: Path, device: torch.device | str = "cpu") -> FitResult:
    """Read a fit that :func:`save_fit` wrote.

    Raises
    ------
    StoreError
        The fit is not complete, or its weights are not those of its card.
    """
    read_card(folder, files=[WEIGHTS, HISTORY])
    tensors, about = read_tensors(folder / WEIGHTS)
    net = ConsistencyNet(
        tuple(about["source_shape"]),
        tuple(about["target_shape"]),
        about["order"],
        about["kernel_size"],
        about["sigma"],
        seed=0,
        gain=about["gain"],
        rank=about["rank"],
    )
    # copy: the tensors are views of the file, which may change after the check
    rows = {name: tensors.pop(f"rows.{name}").numpy().copy() for name in ("train", "validation")}
    units = Normalisation(*about["normalisation"])
    means: dict[str, Any] = {
        name: tensors.pop(f"units.{name}")
        for name, value in units._asdict().items()
        if value is None
    }
    net.load_state_dict(tensors)
    return FitResult(
        net.to(device).eval(),
        pd.read_csv(folder / HISTORY),
        units._replace(**means).to(device),
        rows["train"],
        rows["validation"],
        Entry.of(about["chosen"]),
        FitAbout(*about["about"]),
    )
