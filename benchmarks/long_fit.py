"""Row 4, long: compare the share of x^Delta of a finished fit with fits of ten times the steps.

The long fits have other seeds and no stopping rule; the one with the lowest validation MSE
counts. On pairs of layers of the default preset's stores. Takes hours: ``make bench-long``.
"""

import json
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.compare import Ratio, Row, Target, main
from kc.consistency import fit, rounds
from kc.images.rows import rows_in
from kc.store import open_store
from kc.store.product import read_card

NEAR = 0.005
"""Largest difference of the shares of x^Delta that is accepted."""
SEEDS = (1, 2, 3)
"""Seeds of the long fits; the finished fit has 0."""


def rows(sizes: Namespace) -> list[Row]:
    found = []
    for name in sizes.pairs.split(","):
        x, y, train, test = features(Path(sizes.results), name)
        found.append(measure(name, x.to(sizes.device), y.to(sizes.device), train, test, sizes))
    return found


def measure(name: str, x: Tensor, y: Tensor, train: Any, test: Any, sizes: Namespace) -> Row:
    """Fit once with the stopping rule, then with each of ``SEEDS`` for ten times as long."""

    def fitted(**more: Any) -> dict[str, Any]:
        begun = time.process_time()
        result = fit(x, y, train=train, device=sizes.device, **more)
        return {
            "seconds": round(time.process_time() - begun, 1),
            "epochs": int(result.history["epoch"].max()),
            "validation_mse": result.chosen.validation_mse,
            "xdelta": float(result.instability(x, y, rows=test)),
            "settled": result.settled,
        }

    about = fitted()
    longer = []
    with never_settled():
        for seed in SEEDS:
            longer.append(fitted(seed=seed, epochs=sizes.times * about["epochs"]))
            print(json.dumps({"pair": name, "own": about, "long": longer[-1]}), flush=True)
    best = min(longer, key=lambda one: one["validation_mse"])
    return Row(
        f"4 long fit, {name}",
        f"x^Delta beyond the best of {len(SEEDS)} fits of {sizes.times} times the steps",
        f"{NEAR}",
        Target(at_most=1),
        Ratio([(about["xdelta"] - best["xdelta"]) / NEAR]),
        {"own": about, "long": longer},
    )


@contextmanager
def never_settled() -> Iterator[None]:
    """Switch off the stopping rule."""
    rule = rounds.settled
    rounds.settled = lambda *_: "no"
    try:
        yield
    finally:
        rounds.settled = rule


def features(results: Path, name: str) -> tuple[Tensor, Tensor, Any, Any]:
    """Read both layers of a fit of the workflow, and its training and test rows."""
    card = read_card(results / "fits" / name)
    ends = [card[end] for end in ("source", "target")]
    stored = [
        open_store(results / "activations" / f"{end['network']}.json")[end["node"]] for end in ends
    ]
    train, test = (rows_in(stored[1].rows, subset, card["only"]) for subset in ("train", "test"))
    x, y = (torch.from_numpy(side[:]).float() for side in stored)
    return x, y, train, test


if __name__ == "__main__":
    main(
        rows,
        results="results",
        pairs=",".join(
            f"birds-{network}-seed0--birds-{network}-seed1--{layer}"
            for network, layer in (
                ("resnet34", "last_conv"),
                ("alexnet", "conv5"),
                ("vgg16_bn", "conv4_3"),
                ("vgg16_bn", "conv5_3"),
            )
        ),
        times=10,
        device="cpu",
    )
