"""Make the image store of a data set from an archive or drawn pictures."""

from pathlib import Path
from typing import NamedTuple

from kc.files.sources import FOLDER, Source
from kc.images import build_image_store
from kc.plans.commands import remake
from kc.plans.layouts import code_of_dataset
from kc.provenance import product_key
from kc.settings.dataset import Dataset


class Archive(NamedTuple):
    """An archive of the user, with its digest when the job was planned."""

    path: Path
    digest: str


def make_images(dataset: Dataset, manifest: Path, archive: Archive | None = None) -> None:
    """Make ``images/<data set>.zarr`` and its manifest.

    Parameters
    ----------
    manifest
        ``RESULTS/images/<data set>.json``; the store is next to it.
    archive
        None: draw the pictures.

    Raises
    ------
    ImageError
        Pictures are not as their layout requires.
    SourceError
        The archive changed since its digest was taken.
    """
    path, source, inputs = None, None, {}
    if archive is not None:
        path, inputs = archive.path, {"archive": archive.digest}
        source = Source((path,), archive.digest, manifest.parent.parent / FOLDER)
    about = {"dataset": dataset, "archive": str(path or "")}
    key = product_key(about, inputs, *code_of_dataset(dataset))
    build_image_store(dataset, path, manifest.with_suffix(".zarr"), key, remake(manifest), source)
