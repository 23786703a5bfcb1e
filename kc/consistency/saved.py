"""A fitted g on disk: weights, gains, Sigma and units in safetensors, the rest as text."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from kc.consistency.decompose import Normalisation
from kc.consistency.net import ConsistencyNet
from kc.consistency.optimise import Entry
from kc.consistency.result import FitResult
from kc.errors import StoreError
from kc.store.files import read_json
from kc.store.product import CARD, damaged_files

WEIGHTS = "g.safetensors"


HISTORY = "history.csv"


def save_fit(result: FitResult, folder: Path) -> list[str]:
    """Write the weights and the history; give the names of both files."""
    net = result.net
    tensors = {name: value.detach().cpu().contiguous() for name, value in net.state_dict().items()}
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
    aside = folder / f"{WEIGHTS}.aside"
    save_file(tensors, aside, metadata={"kc": json.dumps(about, sort_keys=True)})
    aside.replace(folder / WEIGHTS)
    result.history.to_csv(folder / HISTORY, index=False)
    return [WEIGHTS, HISTORY]


def load_fit(folder: Path, device: torch.device | str = "cpu") -> FitResult:
    """Read a fit as :func:`save_fit` left it.

    Raises
    ------
    StoreError
        A fit that is not finished, or whose weights are not those of its card.
    """
    card = read_json(folder / CARD) if (folder / CARD).is_file() else None
    damaged = [CARD] if card is None else damaged_files(folder, card)
    if damaged:
        raise StoreError(
            f"{folder}: no finished fit ({', '.join(damaged)} missing or not the one written). "
            "Cure: delete the folder and run the workflow again."
        )
    about, tensors = _read(folder / WEIGHTS)
    net = ConsistencyNet(
        tuple(about["source_shape"]),
        tuple(about["target_shape"]),
        about["order"],
        about["kernel_size"],
        about["sigma"],
        seed=0,
    )
    rows = {name: np.asarray(tensors.pop(f"rows.{name}")) for name in ("train", "validation")}
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


def _read(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return json.loads(file.metadata()["kc"]), tensors
