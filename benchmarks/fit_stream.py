"""Row 3: a fit streamed from stores against the same fit with both layers in memory."""

from argparse import Namespace

import torch

from benchmarks.compare import Row, Target, interleave, main
from benchmarks.made import SHARD_ROWS, features, scratch
from kc.consistency import FitResult, fit
from kc.settings.reconstruction import Optimiser
from kc.store import open_store


def rows(sizes: Namespace) -> list[Row]:
    shape = (sizes.channels, sizes.side, sizes.side)
    settings = Optimiser(epochs=sizes.epochs)
    found: dict[str, FitResult] = {}
    with scratch() as folder:
        for seed, name in enumerate("ab"):
            features(folder / f"{name}.zarr", sizes.images, shape, seed)

        def run(name: str, memory_gb: float) -> None:
            source, target = (open_store(folder / f"{side}.zarr")["feature"] for side in "ab")
            found[name] = fit(
                source, target, optimiser=settings, memory_gb=memory_gb, block_rows=SHARD_ROWS
            )

        times = interleave(
            {
                "streamed": lambda: run("streamed", 1e-9),
                "in memory": lambda: run("in memory", 100.0),
            },
            sizes.repeats,
        )
    states = [result.net.state_dict() for result in found.values()]
    same = all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    if not same:
        raise RuntimeError("the streamed fit has other weights than the one in memory")
    return [
        Row(
            "3 fit streamed",
            "fit streamed from stores",
            "the same fit with both layers in memory",
            Target(at_least=0.95),
            times.ratio("in memory", "streamed"),
            {
                "images": sizes.images,
                "shape": list(shape),
                "epochs": sizes.epochs,
                "same_weights": same,
                "samples_per_second": times.rates(sizes.images * sizes.epochs),
            },
        )
    ]


if __name__ == "__main__":
    main(rows, images=1024, channels=64, side=8, epochs=2, repeats=3)
