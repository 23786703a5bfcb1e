"""Compare the presets ``fast`` and ``released`` on trained networks: H maps, N_fg and cost.

Both search the teachers of the default preset (``snakemake --cores 2 concepts`` makes them). A
second search by ``released`` with other noise measures how well the reference repeats itself; no
search can agree with one run of it better than about the root of that correlation. ``--first``
and ``--images`` choose the pictures, to report on other pictures than those a preset was chosen on.
The reference takes minutes; ``--keep`` is the folder that saves it.
"""

import math
import time
from argparse import Namespace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.compare import Ratio, Row, Target, main
from kc.concepts import count_concepts, image_seed, pixel_entropy, preset
from kc.concepts.networks import layer_head, load_at
from kc.concepts.samples import measured_pictures
from kc.images import normalise
from kc.names import Architecture
from kc.plans.concept_products import ConceptNetwork
from kc.settings.load import read_settings
from kc.settings.whole import Settings
from kc.store import open_store

ARCHITECTURES: tuple[Architecture, ...] = ("alexnet", "vgg11")
LAYERS = ("fc1", "fc2", "fc3")
CPU = torch.device("cpu")


class Case(NamedTuple):
    """One layer of one network, and the pictures searched."""

    name: str
    architecture: str
    head: nn.Module
    pictures: Tensor
    ids: list[str]
    foreground: Tensor
    threshold: float


class Found(NamedTuple):
    """Entropy maps and their cost."""

    H: Tensor
    seconds: float
    """Processor time."""


def rows(sizes: Namespace) -> list[Row]:
    keep = Path(sizes.keep)
    keep.mkdir(parents=True, exist_ok=True)
    settings = read_settings([Path("config.yaml")])
    return [
        _row(_case(architecture, layer, settings, sizes), keep)
        for layer in LAYERS
        for architecture in ARCHITECTURES
    ]


def _case(architecture: Architecture, layer: str, settings: Settings, sizes: Namespace) -> Case:
    about, results = settings.concepts, Path(sizes.results)
    dataset = about.datasets[0]
    images = open_store(results / "images" / f"{dataset}.zarr")
    last = sizes.first + sizes.images
    measured = measured_pictures(images, about.lessons_of(dataset).classes, last)
    chosen = slice(sizes.first, last)
    plan = ConceptNetwork(dataset, architecture, "teacher")
    model = load_at(plan, results / "concepts/networks", about.training.epochs)
    pictures = normalise(torch.from_numpy(images["image"][measured.rows[chosen]]))
    return Case(
        f"{architecture}-{layer}-{sizes.first}-{last}",
        architecture,
        layer_head(model, architecture, layer, pictures.shape[-1]).eval(),
        pictures,
        measured.ids[chosen],
        measured.foreground[chosen],
        about.threshold(architecture),
    )


def _row(case: Case, keep: Path) -> Row:
    first = _search(case, "released", 0, keep)
    again = _search(case, "released", 1, keep)
    fast = _search(case, "fast", 0, None)
    print(case.name, flush=True)
    return Row(
        f"path {case.name}",
        "processor seconds of 'released'",
        "of 'fast'",
        Target(),
        Ratio([first.seconds / fast.seconds]),
        {
            "pictures": len(case.ids),
            "fast_and_released": _agreement(case, fast.H, first.H),
            "released_and_itself": _agreement(case, again.H, first.H),
            "fast_and_the_mean_of_both": _agreement(case, fast.H, (first.H + again.H) / 2),
            "seconds_an_image": {
                "released": round(first.seconds / len(case.ids), 2),
                "fast": round(fast.seconds / len(case.ids), 3),
            },
        },
    )


def _search(case: Case, name: str, seed: int, keep: Path | None) -> Found:
    file = None if keep is None else keep / f"{case.name}-noise{seed}.npz"
    if file is not None and file.is_file():
        with np.load(file) as kept:
            return Found(torch.from_numpy(kept["H"]), float(kept["seconds"]))
    begun = time.process_time()
    seeds = [image_seed(name, seed) for name in case.ids]
    H = pixel_entropy(case.head, case.pictures, preset(name, case.architecture), seeds, CPU).H
    found = Found(H, time.process_time() - begun)
    if file is not None:
        np.savez(file, H=found.H.numpy(), seconds=found.seconds)
    return found


def _agreement(case: Case, one: Tensor, reference: Tensor) -> dict[str, float]:
    """Compare maps: correlation over the cells of an image, and N_fg with its standard error."""
    a, b = (x.flatten(1).double() for x in (one, reference))
    a, b = (x - x.mean(1, keepdim=True) for x in (a, b))
    correlation = (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1))
    counts = [
        count_concepts(H, case.foreground, case.threshold).n_fg.double() for H in (one, reference)
    ]
    apart, level = counts[0] - counts[1], float(counts[1].mean())
    return {
        "correlation": round(float(correlation.mean()), 4),
        "lowest_correlation": round(float(correlation.min()), 4),
        "n_fg": round(float(counts[0].mean()), 2),
        "n_fg_apart_percent": round(100 * float(apart.mean()) / level, 2),
        "standard_error_percent": round(
            100 * float(apart.std()) / math.sqrt(len(apart)) / level, 2
        ),
    }


if __name__ == "__main__":
    main(rows, results="results", first=12, images=24, keep="results/benchmarks")
