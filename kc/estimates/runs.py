"""Estimate the products, bytes and jobs of a run before it starts."""

from collections.abc import Iterable
from functools import cache
from math import prod

import pandas as pd
import torch
from torch import nn

from kc.errors import SettingsError
from kc.names import Architecture
from kc.networks import build, record
from kc.plans.products import (
    FitPlan,
    NetworkPlan,
    batches,
    fit_jobs,
    merged,
    networks_of,
    nodes_of,
    with_origins,
)
from kc.plans.stores import kept_fits
from kc.plans.studies import datasets_of
from kc.plans.study import StudyPlan
from kc.plans.variants import suffixes
from kc.settings.recipes import Network
from kc.settings.whole import Settings
from kc.store.spec import ArraySpec

GENERATED_BYTES_PER_PIXEL = 0.82
"""Bytes of a drawn JPEG and its mask, measured on the default 1,200 pictures of 96 px."""
CLASSES = 200
"""Classes of CUB-200-2011, as in the paper; the last layer is a small part of a network."""
TEST_SHARE = 0.5
"""Share of test images in an archive, where it is unknown before the archive is read."""


def estimate(settings: Settings, plans: Iterable[StudyPlan]) -> pd.DataFrame:
    """Return a row per kind of product: count, bytes on disk, jobs and GPU jobs.

    Raises
    ------
    SettingsError
        The number of images of a data set is unknown.
    """
    studies = list(plans)
    fits = merged(fit for plan in studies for fit in plan.fits)
    networks = with_origins(network for plan in studies for network in plan.networks)
    recorded = networks_of(fits)
    shapes = {network: feature_shapes(settings, network, fits) for network in recorded}
    datasets = datasets_of(settings, networks)
    stores = store_bytes(settings, studies)
    climbed = merged(fit for plan in studies for fit in plan.climbed)
    repeats = max((plan.repeats for plan in studies), default=1)
    beside = [fit for fit in climbed for _ in suffixes(settings.consistency, repeats)]
    sizes = {
        "images": [_image_bytes(settings, name) for name in datasets],
        "networks": [4 * _parameters(settings, network) for network in networks],
        "activations": [size for (kind, _), size in stores.items() if kind == "activations"],
        "fits": [4 * _weights(settings, shapes, fit) for fit in (*fits, *beside)],
        "components": [size for (kind, _), size in stores.items() if kind == "components"],
    }
    counts = {
        "images": len(datasets),
        "networks": len(batches(networks, settings.grouping("training"))),
        # the parts and the job that collects them
        "activations": len(batches(recorded, settings.grouping("recording")))
        * (settings.cluster.scatter + (settings.cluster.scatter > 1)),
        "fits": len(fit_jobs(fits, settings.grouping("fitting")))
        + len({fit.name for fit in climbed}),
    }
    rows = [(kind, len(each), sum(each)) for kind, each in sizes.items()]
    frame = pd.DataFrame(rows, columns=["product", "count", "bytes"])
    frame["jobs"] = [counts.get(name, 0) for name in frame["product"]]
    frame["gpu_jobs"] = frame["jobs"].where(frame["product"] != "images", 0)
    return frame


def store_bytes(settings: Settings, plans: Iterable[StudyPlan]) -> dict[tuple[str, str], int]:
    """Return the bytes of each activation and component store, by kind and name."""
    fits = merged(fit for plan in plans for fit in plan.fits)
    recorded = networks_of(fits)
    shapes = {network: feature_shapes(settings, network, fits) for network in recorded}
    images = {n: images_of(settings, n) for n in datasets_of(settings, recorded)}
    found = {("activations", n.name): _stored(settings, shapes, n, images) for n in recorded}
    for fit in kept_fits(settings, fits):
        found["components", fit.name] = _kept(settings, shapes, fit, images)
    return found


def images_of(settings: Settings, dataset: str) -> int:
    """Return a data set's number of images, from the settings or as drawn."""
    about = settings.datasets[dataset]
    if about.parts:
        return sum(images_of(settings, part) for part in about.parts)
    if about.images is not None:
        return about.images
    if about.archive is None:
        return about.generated.classes * about.generated.images_per_class
    raise SettingsError(
        f"datasets.{dataset}.images is not set and its pictures lie in an archive, which "
        "'kc plan' does not open. Fix: set it to the number of images the archive holds."
    )


def feature_shapes(
    settings: Settings, network: NetworkPlan, fits: Iterable[FitPlan]
) -> dict[str, tuple[int, ...]]:
    """Return the shape of each recorded node for one image, without computing features."""
    about, size = settings.network(network.architecture), settings.datasets[network.dataset].size
    return dict(_feature_shapes(network.architecture, about, tuple(nodes_of(network, fits)), size))


@cache
def _feature_shapes(
    architecture: Architecture, about: Network, nodes: tuple[str, ...], size: int
) -> dict[str, tuple[int, ...]]:
    model = _shapes_only(architecture, about)
    found = record(model, nodes, torch.empty(2, 3, size, size, device="meta"))
    return {node: tuple(feature.shape[1:]) for node, feature in found.items()}


@cache
def _shapes_only(architecture: Architecture, about: Network) -> nn.Module:
    with torch.device("meta"):
        return build(architecture, CLASSES, about, 0)


def _parameters(settings: Settings, network: NetworkPlan) -> int:
    model = _shapes_only(network.architecture, settings.network(network.architecture))
    return sum(value.numel() for value in model.state_dict().values())


def _image_bytes(settings: Settings, name: str) -> int:
    about, count = settings.datasets[name], images_of(settings, name)
    stored = count * 3 * about.size**2
    if about.archive is not None or about.parts:
        return stored
    drawn = count * about.generated.canvas**2 * GENERATED_BYTES_PER_PIXEL
    return round(stored + count * about.size**2 + drawn)


def _stored(
    settings: Settings,
    shapes: dict[NetworkPlan, dict[str, tuple[int, ...]]],
    network: NetworkPlan,
    images: dict[str, int],
) -> int:
    """Count the bytes of an activation store; the last shard has full size."""
    about = settings.activations
    shards = -(-images[network.dataset] // about.shard_rows)
    item = ArraySpec("", ("image",), (1,), about.dtype).disk_dtype.itemsize
    units = sum(prod(shape) for shape in shapes[network].values())
    return shards * about.shard_rows * units * item


def _weights(
    settings: Settings,
    shapes: dict[NetworkPlan, dict[str, tuple[int, ...]]],
    fit: FitPlan,
) -> int:
    source = shapes[fit.source][fit.source_node][0]
    target = shapes[fit.target][fit.target_node][0]
    per_pair = settings.consistency.kernel_size**2
    return per_pair * source * (settings.consistency.order * source + target)


def _kept(
    settings: Settings,
    shapes: dict[NetworkPlan, dict[str, tuple[int, ...]]],
    fit: FitPlan,
    images: dict[str, int],
) -> int:
    about = settings.datasets[fit.target.dataset]
    share = 1.0
    if settings.consistency.components == "test":
        share = about.generated.test_share if about.archive is None else TEST_SHARE
    units = prod(shapes[fit.target][fit.target_node])
    parts = settings.consistency.order + 2
    return round(2 * parts * units * images[fit.target.dataset] * share)
