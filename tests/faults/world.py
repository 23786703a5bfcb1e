"""A small complete pipeline, with stages as functions that work in the current folder.

All paths are relative, since products contain them and must be the same in any folder.
"""

import importlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from kc.activations import record_networks
from kc.concepts.maps import map_networks
from kc.concepts.networks import Given, train_concept_networks
from kc.consistency import resume
from kc.consistency.products import fit_pairs
from kc.images import build_image_store, open_images
from kc.plans.concept_products import ConceptNetwork
from kc.plans.products import FitPlan, networks_of, nodes_of
from kc.plans.studies import plan_of
from kc.runtime import use_threads
from kc.settings.concepts import Concepts, Lessons
from kc.settings.load import load_settings
from kc.settings.recipes import Network
from kc.settings.whole import Settings
from kc.steps.ladders import climb_fits
from kc.steps.networks import Training, train_networks
from kc.store import ArraySpec, StoreContent, StoreWriter
from kc.studies import stability

CPU = torch.device("cpu")
RESULTS = Path("results")
SETTINGS = {
    "results": RESULTS,
    "device": "cpu",
    "datasets": {
        "birds": {"size": 32, "generated": {"classes": 3, "images_per_class": 20, "canvas": 48}}
    },
    "networks": {"resnet18": {"width": 0.125}},
    "training": {"epochs": 3, "batch_size": 16, "learning_rate": 0.01},
    "activations": {"shard_rows": 8},
    "consistency": {"order": 1, "optimiser": {"epochs": 4, "batch_size": 16}},
    "stability": {
        "layers": {"resnet18": ["last_conv"]},
        "seeds": [0, 1],
        "half_splits": 0,
        "half_images": False,
        "controls": "none",
    },
}
LOOKED_AT = Concepts(
    architectures=("alexnet",),
    layers=("fc1",),
    images=2,
    training=Lessons(epochs=2, checkpoints=(0, 1, 2), batch_size=8),
)
DRAWN = ConceptNetwork("objects", "alexnet", "baseline")


class Stage(NamedTuple):
    """One step of the pipeline."""

    run: Callable[[], None]
    makes: tuple[str, ...]
    """Folders under ``results`` that it writes."""
    reads: tuple[str, ...]
    """Folders under ``results`` that it reads."""
    continues: tuple[str, ...] = ()
    """Folders that exist already and that it may write to."""


def warm_up() -> None:
    """Set threads like the workflow, save a fit after every epoch, and import lazy modules."""
    importlib.import_module("dask.array")
    use_threads(1)
    resume.EVERY = 0.0


def make_world() -> None:
    """Make all products undisturbed."""
    settings = _settings()
    birds = settings.datasets["birds"]
    build_image_store(birds, None, RESULTS / "images" / "birds.zarr", "key", "make birds again")
    _draw_objects()
    for name in ("train", "learn", "record", "fit", "ladder", "entropy", "tables"):
        STAGES[name].run()


def train() -> None:
    settings = _settings()
    training = Training(
        settings.network("resnet18"),
        settings.training,
        settings.compression.retraining,
        settings.born_again.distillation,
    )
    images = open_images(RESULTS / "images" / "birds.json")
    train_networks(networks_of(fits()), images, training, RESULTS / "networks", CPU)


def learn() -> None:
    shape = Network(width=0.0625, head_units=16, small_input=True)
    given = Given(open_images(RESULTS / "images/objects.json"), shape, LOOKED_AT.training, ("fc1",))
    train_concept_networks([DRAWN], given, RESULTS / "concepts" / "networks", CPU)


def record() -> None:
    images = open_images(RESULTS / "images" / "birds.json")
    networks = {n.name: RESULTS / "networks" / n.name for n in networks_of(fits())}
    nodes = nodes_of(networks_of(fits())[0], fits())
    activations = _settings().activations
    record_networks(networks, nodes, images, activations, RESULTS / "activations", CPU)


def fit() -> None:
    stores = {n.name: RESULTS / "activations" / f"{n.name}.json" for n in networks_of(fits())}
    fit_pairs(fits(), stores, _settings().consistency, 0, RESULTS, CPU)


def entropy() -> None:
    images = open_images(RESULTS / "images" / "objects.json")
    folder = RESULTS / "concepts"
    map_networks([DRAWN], images, LOOKED_AT, folder / "networks", folder / "maps", CPU)


def ladder() -> None:
    plan, settings = plan_of(_settings(), "stability"), _settings().consistency
    climb_fits(plan.climbed, plan.repeats, settings, RESULTS, "cpu")
    # so that only the files of the stage "fit" are there
    for variant in (RESULTS / "fits").glob("*.*"):
        shutil.rmtree(variant)


def tables() -> None:
    stability.write(_settings())


STAGES = {
    "train": Stage(train, ("networks",), ("images",)),
    "learn": Stage(learn, ("concepts/networks",), ("images",)),
    "record": Stage(record, ("activations",), ("images", "networks")),
    "fit": Stage(fit, ("fits", "components"), ("activations",)),
    "decompose": Stage(fit, ("components",), ("activations",), ("fits",)),
    "entropy": Stage(entropy, ("concepts/maps",), ("images", "concepts/networks")),
    "ladder": Stage(ladder, ("ladder", "repeats"), ("activations",), ("fits",)),
    "tables": Stage(tables, ("tables", "figures"), ("fits", "networks", "ladder", "repeats")),
}


def fits() -> list[FitPlan]:
    """Return the fits of Table 1, with the components of all of them kept."""
    return [replace(plan, keep=True) for plan in plan_of(_settings(), "stability").fits]


def _settings() -> Settings:
    return load_settings(SETTINGS)


def _draw_objects(count: int = 24, side: int = 64) -> None:
    """Draw squares on noise, with the square as foreground."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 3
    pixels = rng.integers(0, 80, (count, 3, side, side), dtype=np.uint8)
    masks = np.zeros((count, side, side), dtype=bool)
    for row, label in enumerate(labels):
        y, x = rng.integers(4, 28, 2)
        pixels[row, label, y : y + 32, x : x + 32] += 120
        masks[row, y : y + 32, x : x + 32] = True
    rows = pd.DataFrame({"image_id": [f"i{i:02d}" for i in range(count)], "label": labels})
    rows["class_name"] = [f"class{label}" for label in labels]
    rows["subset"] = np.where(np.arange(count) % 9 < 6, "train", "test")
    rows["superclass"] = ""
    rows["has_foreground"] = True
    arrays = {"image": pixels, "foreground": masks}
    dims = {"image": ("image", "channel", "y", "x"), "foreground": ("image", "y", "x")}
    specs = [ArraySpec(n, dims[n], v.shape, str(v.dtype)) for n, v in arrays.items()]
    path = RESULTS / "images" / "objects.zarr"
    with StoreWriter(
        path, "key", StoreContent(specs, rows, 8), mend="make objects again"
    ) as writer:
        for shard in writer.missing():
            writer.write(shard, {n: v[writer.rows(shard)] for n, v in arrays.items()})
        writer.finish()
