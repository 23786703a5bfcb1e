"""Row 4: time to the final objective of the released optimiser's 1000 epochs, on real features.

Both sides fit the same g (Sigma over images, lambda 0.1, normalised features) on the same images of
the default preset's stores; ours is :func:`kc.consistency.fit`, the recipe is Adam 1e-4 to 1e-6 in
batches of 64 from random weights. Needs ``results/activations`` (``make bench`` makes it).
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
from kc.consistency.optimise import Entry, FitTask, Progress, entry_of, optimise, released_recipe
from kc.images.rows import rows_in
from kc.settings.reconstruction import Consistency, Optimiser
from kc.store import StoredArray, open_store

PENALTY = 0.1
EPOCHS = (1, 2, 3, 5, 10)
"""Of our fits, each with its own schedule; the last is the default preset's."""


def rows(sizes: Namespace) -> list[Row]:
    source, target = (_layer(sizes, name) for name in (sizes.source, sizes.target))
    train = rows_in(target.rows, "train")
    x, y = (torch.from_numpy(side[:]).float().to(sizes.device) for side in (source, target))

    def ours(epochs: int) -> tuple[FitResult, float]:
        begun = time.perf_counter()
        settings = Optimiser(epochs=epochs)
        found = fit(x, y, penalty=PENALTY, train=train, optimiser=settings, device=sizes.device)
        return found, time.perf_counter() - begun

    results = {epochs: ours(epochs)[0] for epochs in EPOCHS}  # this also warms up
    times = {epochs: [ours(epochs)[1] for _ in range(sizes.repeats)] for epochs in EPOCHS}
    entries, seconds = _recipe(x, y, results[EPOCHS[-1]], sizes)
    for epochs in EPOCHS:
        times[epochs] += [ours(epochs)[1] for _ in range(sizes.repeats)]
    last, lowest = entries[-1], min(entry.validation_mse for entry in entries)
    reached = [
        epochs
        for epochs, result in results.items()
        if result.chosen.objective <= last.objective and result.chosen.validation_mse <= lowest
    ]
    epochs = min(reached, default=EPOCHS[-1])
    result, chosen = results[epochs], results[epochs].chosen
    details = {
        "layers": [f"{sizes.source} {sizes.node}", f"{sizes.target} {sizes.node}"],
        "shape": list(x.shape[1:]),
        "images": {"fitted": len(result.train) - len(result.validation)}
        | {"validation": len(result.validation)},
        "recipe": {"epochs": sizes.recipe_epochs, "seconds": round(seconds, 2)}
        | {"objective": last.objective, "gains": last.gains}
        | {"last_mse": last.validation_mse, "lowest_mse": lowest},
        "ours": {
            number: {"seconds": round(float(np.median(times[number])), 3)}
            | {"objective": one.chosen.objective, "mse": one.chosen.validation_mse}
            | {"gains": one.chosen.gains}
            for number, one in results.items()
        },
        "epochs_that_reach_both": reached,
    }
    against = f"the released optimiser's {sizes.recipe_epochs} epochs"
    return [
        Row(
            "4 objective",
            f"whole fit of {epochs} epochs, the fewest tried that reach objective and MSE",
            against,
            Target(at_least=100),
            Ratio([seconds / one for one in times[epochs]]),
            details,
        ),
        Row(
            "4 objective, reached",
            "its final validation objective",
            "the recipe's final one",
            Target(at_most=1),
            Ratio([chosen.objective / last.objective]),
        ),
        Row(
            "4 objective, MSE",
            "its validation MSE",
            "the recipe's lowest at any epoch",
            Target(at_most=1),
            Ratio([chosen.validation_mse / lowest]),
        ),
    ]


def _layer(sizes: Namespace, name: str) -> StoredArray:
    path = Path(sizes.results) / "activations" / f"{name}.zarr"
    if not path.exists():
        raise SystemExit(
            f"{path}: no such store. Cure: make bench, which makes it, or "
            f"snakemake --cores 1 {path.with_suffix('.json')}"
        )
    return open_store(path)[sizes.node]


def _recipe(
    x: torch.Tensor, y: torch.Tensor, ours: FitResult, sizes: Namespace
) -> tuple[list[Entry], float]:
    """Run the recipe; give its history, and its seconds without looking at the validation cut."""
    device = torch.device(sizes.device)
    pair = pair_up(x, y, device)
    fitted = np.setdiff1d(ours.train, ours.validation)
    settings = Consistency(penalty=PENALTY)
    task = FitTask(pair, ours.normalisation, fitted, ours.validation, settings, 0)
    shapes = pair.source_shape, pair.target_shape
    net = ConsistencyNet(*shapes, ours.net.order, seed=0).to(device)
    with exact_products():
        looks = []
        for _ in range(20):
            begun = time.perf_counter()
            entry_of(net, task, 0, "start", 0.0)
            looks.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        progress = Progress([])
        recipe = released_recipe(net, sizes.recipe_epochs, "last")
        optimise(net, task, recipe, progress, lambda: None)
        entries = progress.entries
        seconds = time.perf_counter() - begun
    return entries, seconds - sizes.recipe_epochs * float(np.median(looks))


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
