"""A fitted g on disk: weights, gains, Sigma and units in safetensors, the rest as text."""

from pathlib import Path

import pandas as pd
import torch

from kc.consistency.decompose import Normalisation
from kc.consistency.net import ConsistencyNet
from kc.consistency.optimise import Entry
from kc.consistency.result import FitResult
from kc.consistency.resume import STATE
from kc.store.files import write_bytes_atomic
from kc.store.product import read_card
from kc.store.tensors import read_tensors, write_tensors

WEIGHTS = "g.safetensors"
HISTORY = "history.csv"
VARIANCES = ("variances.csv", "variances_channels.csv")
FILES = (WEIGHTS, HISTORY, *VARIANCES, STATE)
"""All that is written into a fit's folder."""


def save_fit(result: FitResult, folder: Path) -> list[str]:
    """Write the weights and the history; give the names of both files."""
    net = result.net
    tensors = dict(net.state_dict())
    tensors["rows.train"] = torch.from_numpy(result.train)
    tensors["rows.validation"] = torch.from_numpy(result.validation)
    about = {
        "source_shape": net.source_shape,
        "target_shape": net.target_shape,
        "order": net.order,
        "kernel_size": net.kernel_size,
        "sigma": net.sigma,
        "normalisation": result.normalisation,
        "chosen": result.chosen,
        "preset": result.preset,
        "penalty": result.penalty,
        "seed": result.seed,
    }
    write_tensors(folder / WEIGHTS, tensors, about)
    write_bytes_atomic(folder / HISTORY, result.history.to_csv(index=False).encode())
    return [WEIGHTS, HISTORY]


def load_fit(folder: Path, device: torch.device | str = "cpu") -> FitResult:
    """Read a fit as :func:`save_fit` left it.

    Raises
    ------
    StoreError
        A fit that is not finished, or whose weights are not those of its card.
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
    )
    # copies: the tensors are views of the file, whose bytes may change after they were checked
    rows = {name: tensors.pop(f"rows.{name}").numpy().copy() for name in ("train", "validation")}
    net.load_state_dict(tensors)
    entry = about["chosen"]
    return FitResult(
        net.to(device).eval(),
        pd.read_csv(folder / HISTORY),
        Normalisation(*about["normalisation"]),
        rows["train"],
        rows["validation"],
        Entry(entry[0], entry[1], entry[2], entry[3], tuple(entry[4]), entry[5]),
        about["preset"],
        about["penalty"],
        about["seed"],
    )
