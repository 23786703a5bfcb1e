"""Make the image store of a data set that is read or drawn."""

from pathlib import Path
from typing import NamedTuple

from kc.files.sources import FOLDER, Source
from kc.images import build_image_store
from kc.plans.commands import remake
from kc.plans.layouts import code_of_dataset
from kc.provenance import product_key
from kc.settings.dataset import Dataset


class Archive(NamedTuple):
    """An archive of the user's, as it was when the job was planned."""

    path: Path
    digest: str


def make_images(dataset: Dataset, manifest: Path, archive: Archive | None = None) -> None:
    """Make ``images/<data set>.zarr`` and its manifest.

    Parameters
    ----------
    manifest
        ``RESULTS/images/<data set>.json``; the store lies beside it.
    archive
        None: the pictures are drawn.

    Raises
    ------
    ImageError
        Pictures that cannot be read as their layout promises.
    SourceError
        An archive that changed since its digest was taken.
    """
    path, source, inputs = None, None, {}
    if archive is not None:
        path, inputs = archive.path, {"archive": archive.digest}
        source = Source((path,), archive.digest, manifest.parent.parent / FOLDER)
    about = {"dataset": dataset, "archive": str(path or "")}
    key = product_key(about, inputs, *code_of_dataset(dataset))
    build_image_store(dataset, path, manifest.with_suffix(".zarr"), key, remake(manifest), source)
