"""Make a complete small pipeline once: pictures, networks, features, fits."""

from pathlib import Path

import pytest
import torch

from kc.activations import record_networks
from kc.consistency.products import fit_pairs
from kc.images import build_image_store, build_mixture_store, open_images
from kc.plans.products import FitPlan, NetworkPlan, batches, merged, networks_of, nodes_of
from kc.plans.studies import plan_of
from kc.settings.load import load_settings
from kc.settings.whole import Settings
from kc.steps.networks import Training, train_networks

CPU = torch.device("cpu")
MADE = ("diagnosis", "refinement", "redundancy", "orders")
DRAWN = {"classes": 3, "images_per_class": 20, "canvas": 64}
NARROW = {"width": 0.125, "head_units": 16, "dropout": 0.1, "small_input": True}
TINY = {
    "device": "cpu",
    "datasets": {
        "birds": {"generated": DRAWN},
        "dogs": {"layout": "dogs", "generated": DRAWN | {"classes": 2}},
        "mix": {"layout": "mixture", "parts": ["birds", "dogs"]},
    },
    "networks": {
        "alexnet": NARROW | {"epochs": 8, "learning_rate": 0.02},
        "resnet18": {"width": 0.125, "epochs": 2},
    },
    "training": {"batch_size": 16},
    "activations": {"dtype": "float32", "shard_rows": 64},
    "consistency": {"penalty": 0, "optimiser": {"epochs": 40}},  # a penalty would shut all orders
    "tails": {"refine": {"epochs": 2, "first_rate": 1e-3, "last_rate": 1e-4}}
    | {"fresh": {"epochs": 2}},
    "diagnosis": {"dataset": "mix", "strong": "resnet18", "seeds": [0, 1]},
    "refinement": {"dataset": "mix", "layers": {"alexnet": ["conv5"]}, "seeds": [0, 1]},
    "redundancy": {
        "tasks": {"mix_dogs": {"dataset": "mix", "superclass": "dog"}},
        "layers": {"alexnet": ["conv5"]},
        "seeds": [0, 1],
    },
    "orders": {"dataset": "mix", "layers": {"alexnet": ["conv5"]}},
}
A, B = (NetworkPlan("mix", "alexnet", seed) for seed in (0, 1))
SELF = FitPlan(A, A, "conv5", "conv5")
"""A fit of a network from itself: g can reconstruct everything."""


@pytest.fixture(scope="session")
def tiny(made_once) -> Settings:
    """Settings whose results folder holds all that the studies of ``MADE`` read."""
    folder = made_once("tiny", lambda folder: _make(_settings(folder)))
    return _settings(folder)


def _settings(folder: Path) -> Settings:
    return load_settings(TINY | {"results": folder / "results"})


def _make(settings: Settings) -> None:
    results = settings.results
    _make_images(settings)
    fits = merged([SELF, *(fit for study in MADE for fit in plan_of(settings, study).fits)])
    networks = networks_of(fits)
    images = open_images(results / "images" / "mix.json")
    for members in batches(networks, "architecture").values():
        training = Training(
            settings.network(members[0].architecture),
            settings.training,
            settings.compression.retraining,
            settings.born_again.distillation,
        )
        train_networks(members, images, training, results / "networks", CPU)
    for network in networks:
        record_networks(
            {network.name: results / "networks" / network.name},
            nodes_of(network, fits),
            images,
            settings.activations,
            results / "activations",
            CPU,
        )
    stores = {n.name: results / "activations" / f"{n.name}.json" for n in networks}
    fit_pairs(fits, stores, settings.consistency, 0, results, CPU)


def _make_images(settings: Settings) -> None:
    folder = settings.results / "images"
    for name in ("birds", "dogs"):
        build_image_store(settings.datasets[name], None, folder / f"{name}.zarr", "key")
    parts = {name: open_images(folder / f"{name}.json") for name in ("birds", "dogs")}
    build_mixture_store(parts, 0, folder / "mix.zarr", "key")
