"""Row 4: a finished fit against 1000 epochs of the released optimiser, on real features.

Both fit the same g (Sigma over images, the default's lambda, normalised features) on the same
images of the default preset's stores: :func:`kc.consistency.fit`, and the released recipe, Adam
1e-4 to 1e-6 in batches of 64 from random weights. A restart of our fit for as many epochs shows
whether it was finished. Needs ``results/activations`` (``make bench`` makes it).
"""

import time
from argparse import Namespace
from pathlib import Path

import numpy as np
import torch

from benchmarks.compare import Ratio, Row, Target, main
from kc.consistency import ConsistencyNet, FitResult, fit
from kc.consistency.data import pair_up
from kc.consistency.decompose import exact_products
from kc.consistency.optimise import Entry, optimise
from kc.consistency.released import Released
from kc.consistency.task import FitTask, mean_squared_error, settle_variance
from kc.images.rows import rows_in
from kc.settings.reconstruction import Consistency
from kc.store import StoredArray, open_store


def rows(sizes: Namespace) -> list[Row]:
    source, target = (_layer(sizes, name) for name in (sizes.source, sizes.target))
    train = rows_in(target.rows, "train")
    x, y = (torch.from_numpy(side[:]).float().to(sizes.device) for side in (source, target))
    times, result = [], None
    for _ in range(sizes.repeats):
        begun = time.perf_counter()
        result = fit(x, y, train=train, device=sizes.device)
        times.append(time.perf_counter() - begun)
    assert result is not None
    entries, seconds = _recipe(x, y, result, sizes)
    lowest, chosen = min(entry.validation_mse for entry in entries), result.chosen
    again = fit(
        x, y, train=train, device=sizes.device, initial=result.net, epochs=chosen.epoch
    ).chosen.validation_mse
    details = {
        "layers": [f"{sizes.source} {sizes.node}", f"{sizes.target} {sizes.node}"],
        "shape": list(x.shape[1:]),
        "images": {"fitted": len(result.train) - len(result.validation)}
        | {"validation": len(result.validation)},
        "recipe": {"epochs": sizes.recipe_epochs, "seconds": round(seconds, 2)}
        | {"last_mse": entries[-1].validation_mse, "lowest_mse": lowest},
        "ours": {"seconds": round(float(np.median(times)), 3), "epochs": chosen.epoch}
        | {"mse": chosen.validation_mse, "settled": result.settled, "gains": chosen.gains},
    }
    return [
        Row(
            "4 objective",
            "a finished fit",
            f"the released optimiser's {sizes.recipe_epochs} epochs",
            Target(at_least=3),
            Ratio([seconds / one for one in times]),
            details,
        ),
        Row(
            "4 objective, MSE",
            "its validation MSE",
            "the recipe's lowest at any epoch",
            Target(at_most=1),
            Ratio([chosen.validation_mse / lowest]),
        ),
        Row(
            "4 objective, restart",
            "validation MSE after a restart of as many epochs",
            "the fit's own",
            Target(at_least=0.995),
            Ratio([again / chosen.validation_mse]),
        ),
    ]


def _layer(sizes: Namespace, name: str) -> StoredArray:
    path = Path(sizes.results) / "activations" / f"{name}.zarr"
    if not path.exists():
        raise SystemExit(
            f"{path}: no such store. Fix: make bench, which makes it, or "
            f"snakemake --cores 1 {path.with_suffix('.json')}"
        )
    return open_store(path)[sizes.node]


def _recipe(
    x: torch.Tensor, y: torch.Tensor, ours: FitResult, sizes: Namespace
) -> tuple[list[Entry], float]:
    """Run the recipe; return its history, and its seconds without those of the validation."""
    device = torch.device(sizes.device)
    pair = pair_up(x, y, device)
    fitted = np.setdiff1d(ours.train, ours.validation)
    task = FitTask(pair, ours.normalisation, fitted, ours.validation, Consistency(), 0)
    shapes = pair.source_shape, pair.target_shape
    net = ConsistencyNet(*shapes, ours.net.order, seed=0, gain=ours.net.gain).to(device)
    with exact_products():
        looks = []
        for _ in range(5):
            begun = time.perf_counter()
            settle_variance(net, task, fitted)
            mean_squared_error(net, task, ours.validation)
            looks.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        recipe = Released(net, sizes.recipe_epochs, "last")
        progress = recipe.begin(net, task)
        optimise(net, task, recipe, progress, lambda: None)
        seconds = time.perf_counter() - begun
    return progress.entries, seconds - sizes.recipe_epochs * float(np.median(looks))


if __name__ == "__main__":
    main(
        rows,
        results="results",
        source="birds-vgg16_bn-seed0",
        target="birds-vgg16_bn-seed1",
        node="features.40",
        recipe_epochs=1000,
        repeats=3,
        device="cpu",
    )
