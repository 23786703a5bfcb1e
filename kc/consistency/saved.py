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
from kc.store.files import file_digest, read_json

WEIGHTS = "g.safetensors"


def save_fit(result: FitResult, folder: Path) -> str:
    """Write ``g.safetensors`` and ``history.csv``; give the digest of the former."""
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
    result.history.to_csv(folder / "history.csv", index=False)
    return str(file_digest(folder / WEIGHTS))


def load_fit(folder: Path, device: torch.device | str = "cpu") -> FitResult:
    """Read a fit as :func:`save_fit` left it.

    Raises
    ------
    StoreError
        A fit that is not finished, or whose weights are not those of its card.
    """
    path = folder / WEIGHTS
    digest = (
        read_json(folder / "card.json").get("digest") if (folder / "card.json").is_file() else None
    )
    found = file_digest(path) if path.is_file() else None
    if digest is None or found != digest:
        raise StoreError(
            f"{folder}: no finished fit ({WEIGHTS} has digest {found}, card.json says {digest}). "
            "Cure: delete the folder and run the workflow again."
        )
    about, tensors = _read(path)
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
        pd.read_csv(folder / "history.csv"),
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
