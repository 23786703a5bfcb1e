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
from kc.config import Optimiser
from kc.consistency import ConsistencyNet, FitResult, fit
from kc.consistency.data import pair_up
from kc.consistency.decompose import exact_products
from kc.consistency.optimise import Entry, Progress, Training, entry_of, optimise, released_recipe
from kc.images.rows import rows_in
from kc.store import StoredArray, open_store

PENALTY = 0.1


def rows(sizes: Namespace) -> list[Row]:
    source, target = (_layer(sizes, name) for name in (sizes.source, sizes.target))
    train = rows_in(target.rows, "train")
    x, y = (torch.from_numpy(side[:]).float().to(sizes.device) for side in (source, target))

    def ours() -> tuple[FitResult, float]:
        begun = time.perf_counter()
        settings = Optimiser(epochs=sizes.epochs)
        found = fit(x, y, penalty=PENALTY, train=train, optimiser=settings, device=sizes.device)
        return found, time.perf_counter() - begun

    ours()
    before = [ours()[1] for _ in range(sizes.repeats)]
    result, _ = ours()
    entries, seconds = _recipe(x, y, result, sizes)
    times = before + [ours()[1] for _ in range(sizes.repeats)]
    last, chosen = entries[-1], result.chosen
    lowest = min(entry.validation_mse for entry in entries)
    details = {
        "layers": [f"{sizes.source} {sizes.node}", f"{sizes.target} {sizes.node}"],
        "shape": list(x.shape[1:]),
        "images": {"fitted": len(result.train) - len(result.validation)}
        | {"validation": len(result.validation)},
        "seconds": {"recipe": round(seconds, 2), "ours": [round(one, 3) for one in times]},
        "recipe_epochs": sizes.recipe_epochs,
        "our_epochs": sizes.epochs,
        "final_objective": {"recipe": last.objective, "ours": chosen.objective},
        "validation_mse": {
            "recipe_last": last.validation_mse,
            "recipe_lowest": lowest,
            "ours": chosen.validation_mse,
        },
        "gains": {"recipe": last.gains, "ours": chosen.gains},
        "objective_lower": chosen.objective <= last.objective,
        "validation_mse_no_higher_than_the_recipe_s_lowest": chosen.validation_mse <= lowest,
    }
    against = f"the released optimiser's {sizes.recipe_epochs} epochs"
    return [
        Row(
            "4 objective",
            f"whole fit, {sizes.epochs} epochs, to its end",
            against,
            Target(at_least=100),
            Ratio([seconds / one for one in times]),
            details,
        ),
        Row(
            "4 objective, reached",
            "our final validation objective",
            "the recipe's final one",
            Target(at_most=1),
            Ratio([chosen.objective / last.objective]),
        ),
        Row(
            "4 objective, MSE",
            "our validation MSE",
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
    task = Training(pair, ours.normalisation, fitted, ours.validation, PENALTY, 0, 8)
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
        epochs=10,
        recipe_epochs=1000,
        repeats=3,
        device="cpu",
    )
