"""Make the image store of a data set."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from kc.files.sources import FOLDER, Source
from kc.images import build_image_store, build_mixture_store, open_images
from kc.plans.commands import remake
from kc.provenance import product_key
from kc.settings.dataset import Dataset


class Archive(NamedTuple):
    """An archive of the user's, as it was when the job was planned."""

    path: Path
    digest: str


def make_images(
    dataset: Dataset,
    manifest: Path,
    archive: Archive | None = None,
    parts: Mapping[str, Path] | None = None,
) -> None:
    """Make ``images/<data set>.zarr`` and its manifest: read, drawn, or mixed from ``parts``.

    Parameters
    ----------
    manifest
        ``RESULTS/images/<data set>.json``; the store lies beside it.
    archive
        None: the pictures are drawn, or mixed.
    parts
        Manifests of the data sets that a mixture is made of, by their names.

    Raises
    ------
    ImageError
        Pictures that cannot be read as their layout promises.
    SourceError
        An archive that changed since its digest was taken.
    """
    out, mend = manifest.with_suffix(".zarr"), remake(manifest)
    if dataset.parts:
        stores = {name: open_images(path) for name, path in (parts or {}).items()}
        inputs = {name: store.digest for name, store in stores.items()}
        key = product_key({"dataset": dataset}, inputs, "kc.images.mixture")
        build_mixture_store(stores, dataset.seed, out, key, mend)
        return
    path, source, inputs = None, None, {}
    if archive is not None:
        path, inputs = archive.path, {"archive": archive.digest}
        source = Source((path,), archive.digest, manifest.parent.parent / FOLDER)
    about = {"dataset": dataset, "archive": str(path or "")}
    key = product_key(about, inputs, "kc.images.build")
    build_image_store(dataset, path, out, key, mend, source)
