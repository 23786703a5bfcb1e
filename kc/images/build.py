"""Writing of a data set's image store, in a fixed random order, cropped and resized once."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kc.datasets.archive import Files, FolderFiles, open_files, open_folder_of
from kc.datasets.colours import say
from kc.datasets.decode import decode, has_foreground
from kc.datasets.samples import Reader, Sample
from kc.errors import ImageError
from kc.files.sources import Source
from kc.plans.commands import DRAWN
from kc.plans.layouts import GENERATED, LAYOUTS
from kc.progress import progress_bar
from kc.provenance import plain
from kc.runtime import derive_seed
from kc.settings.dataset import Dataset
from kc.store import ArraySpec, Store, StoreContent, StoreWriter, open_store

SHARD_ROWS = 256
"""Images decoded at a time; an interruption loses at most these."""


def build_image_store(
    dataset: Dataset,
    archive: Path | None,
    out: Path,
    key: str,
    mend: str = "",
    source: Source | None = None,
) -> dict[str, Any]:
    """Write a data set's image store, resuming an earlier attempt under ``key``.

    Parameters
    ----------
    dataset
        Layout, size, seed; without an archive, also what to draw.
    archive
        Archive or extracted folder; None: pictures are drawn into ``NAME-source`` next to ``out``.
    out
        The store, ``NAME.zarr``; its manifest is ``NAME.json``.
    key
        Key of the inputs and settings (``kc.provenance.product_key``).
    mend
        Command that builds the store again, for messages.
    source
        The archive with the digest that is part of ``key``, for the manifest.

    Returns
    -------
    dict
        The manifest. Arrays: ``image`` (image, channel, y, x) uint8; ``foreground``
        (image, y, x) bool if any image has one, all False for images without. Coordinates:
        ``image_id``, ``label``, ``class_name``, ``subset``, ``superclass``, ``has_foreground``.

    Raises
    ------
    ImageError
        The archive, its lists, an image or a mask is invalid, or the layout is ``mixture``
        (see :func:`kc.images.mixture.build_mixture_store`).
    """
    if dataset.layout not in LAYOUTS:
        raise ImageError(
            f"{out}: layout '{dataset.layout}' has no pictures of its own, expected one of "
            f"{', '.join(LAYOUTS)}. Fix: kc.images.build_mixture_store, from its parts' stores."
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    with _open_source(dataset, archive, out) as files:
        samples = ordered(_reader_of(dataset.layout)(files, dataset), dataset.seed)
        rows = coordinates(samples, dataset.box_foreground)
        made = {"archive": source.digest} if source else {"generated": plain(dataset.generated)}
        attributes = {"layout": dataset.layout, "classes": class_names(rows), "source": made}
        with StoreWriter(
            out,
            key,
            StoreContent(
                image_arrays(len(rows), dataset.size, bool(rows["has_foreground"].any())),
                rows,
                SHARD_ROWS,
                attributes=attributes,
                source=source,
                passed_over=files.passed,
            ),
            mend=mend,
        ) as writer:
            _write_shards(writer, samples, files, dataset)
            return writer.finish()


def open_images(path: Path) -> Store:
    """Open an image store by its ``.zarr`` or ``.json``; ``store["image"]`` has its pictures."""
    return open_store(path)


def ordered(samples: Sequence[Sample], seed: int) -> list[Sample]:
    """Return samples in the fixed random order that depends only on their ids and the seed."""
    return [samples[index] for index in row_order([sample.image_id for sample in samples], seed)]


def row_order(image_ids: Sequence[str], seed: int) -> list[int]:
    """Return the indices of ids in the fixed random order, independent of their given order."""
    by_id = sorted(range(len(image_ids)), key=lambda index: image_ids[index])
    rng = np.random.default_rng(derive_seed("rows", seed))
    return [by_id[index] for index in rng.permutation(len(by_id))]


def coordinates(samples: Sequence[Sample], box_foreground: bool = False) -> pd.DataFrame:
    """Return the store's coordinates, one row per sample."""
    known = [has_foreground(sample, box_foreground) for sample in samples]
    return pd.DataFrame(
        {
            "image_id": [sample.image_id for sample in samples],
            "label": np.array([sample.label for sample in samples], dtype=np.int64),
            "class_name": [sample.class_name for sample in samples],
            "subset": [sample.subset for sample in samples],
            "superclass": [sample.superclass for sample in samples],
            "has_foreground": np.array(known, dtype=bool),
        }
    )


def image_arrays(count: int, size: int, masked: bool) -> list[ArraySpec]:
    """Describe the arrays of an image store of ``count`` pictures of ``size`` px."""
    image = ArraySpec("image", ("image", "channel", "y", "x"), (count, 3, size, size), "uint8")
    foreground = ArraySpec("foreground", ("image", "y", "x"), (count, size, size), "bool")
    return [image, foreground] if masked else [image]


def class_names(rows: pd.DataFrame) -> list[str]:
    """List the names of the classes by their label."""
    return [str(name) for name in rows.groupby("label")["class_name"].first()]


def _code_of(layout: str) -> ModuleType:
    return import_module(LAYOUTS[layout].reader)


def _reader_of(layout: str) -> Reader:
    reader: Reader = getattr(_code_of(layout), f"read_{layout}")
    return reader


@contextmanager
def _open_source(dataset: Dataset, archive: Path | None, out: Path) -> Iterator[Files]:
    # archives of a layout: a folder that holds some of them is read together with them
    known: Sequence[str] = getattr(_code_of(dataset.layout), "ARCHIVES", ())
    if archive is None:
        folder = out.with_name(f"{out.stem}{DRAWN}")
        # by name, so that the key of a store of photographs does not include drawing code
        import_module(GENERATED).write_generated(dataset.layout, dataset.generated, folder)
        yield FolderFiles(folder)
    elif known and archive.is_dir():
        with open_folder_of(archive, known, dataset.files, spool=out.parent) as files:
            yield files
    else:
        with open_files(archive, dataset.url, dataset.md5, spool=out.parent) as files:
            yield files


def _write_shards(
    writer: StoreWriter, samples: Sequence[Sample], files: Files, dataset: Dataset
) -> None:
    missing = writer.missing()
    total = sum(len(samples[writer.rows(shard)]) for shard in missing)
    told: list[str] = []
    with progress_bar(total=total, desc="images", unit="image") as bar:
        for shard in missing:
            rows = samples[writer.rows(shard)]
            arrays, oddities = _shard(rows, files, dataset, "foreground" in writer.arrays)
            writer.write(shard, arrays)
            told += oddities
            bar.update(len(rows))
    say(files.where, told)


def _shard(
    samples: Sequence[Sample], files: Files, dataset: Dataset, masked: bool
) -> tuple[dict[str, NDArray[Any]], list[str]]:
    size, about = dataset.size, (dataset.crop, dataset.box_foreground)
    pixels = [decode(sample, files, size, *about) for sample in samples]
    arrays: dict[str, NDArray[Any]] = {"image": np.stack([each.image for each in pixels])}
    if masked:
        unknown = np.zeros((size, size), dtype=bool)
        masks = [unknown if each.foreground is None else each.foreground for each in pixels]
        arrays["foreground"] = np.stack(masks)
    return arrays, [oddity for each in pixels for oddity in each.told]
