"""Make the image store of a data set that is a mixture of others."""

from collections.abc import Mapping
from pathlib import Path

from kc.images import build_mixture_store, open_images
from kc.plans.commands import remake
from kc.plans.layouts import code_of_dataset
from kc.provenance import product_key
from kc.settings.dataset import Dataset


def mix_images(dataset: Dataset, manifest: Path, parts: Mapping[str, Path]) -> None:
    """Make ``images/<data set>.zarr`` and its manifest from those of its parts.

    Parameters
    ----------
    manifest
        ``RESULTS/images/<data set>.json``; the store is next to it.
    parts
        Manifests of the data sets to mix, by name.

    Raises
    ------
    ImageError
        The pictures of the parts differ in size.
    """
    stores = {name: open_images(path) for name, path in parts.items()}
    inputs = {name: store.digest for name, store in stores.items()}
    key = product_key({"dataset": dataset}, inputs, *code_of_dataset(dataset))
    out = manifest.with_suffix(".zarr")
    build_mixture_store(stores, dataset.seed, out, key, remake(manifest))
