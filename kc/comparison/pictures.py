"""Build an image store from any folder of pictures, with or without class folders."""

import os.path
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from kc.comparison.estimate import check_space
from kc.comparison.settings import CompareSettings
from kc.datasets.archive import Files, open_files
from kc.datasets.colours import say
from kc.datasets.decode import rgb_of
from kc.datasets.folder import given_subsets, is_text, parts_named, pictures_in, read_folder
from kc.datasets.samples import Sample
from kc.errors import ImageError
from kc.files.sources import FOLDER, Source
from kc.images import open_images
from kc.images.build import SHARD_ROWS, class_names, coordinates, image_arrays, ordered
from kc.images.preparation import prepared, view
from kc.names import SUBSETS, spell_bytes
from kc.plans.commands import AGAIN
from kc.progress import progress_bar
from kc.provenance import product_key
from kc.runtime import derive_seed
from kc.settings.dataset import Dataset
from kc.settings.preparation import Preparation
from kc.store import ArraySpec, Store, StoreContent, StoreWriter

LEAST = {"train": 10, "test": 4}
"""Fewest pictures to fit g on (with a validation cut) and to test on (debiased CKA needs 4)."""


def build_pictures(
    source: Path, out: Path, settings: CompareSettings, how: Preparation | None = None
) -> Store:
    """Write the store of the pictures of a folder or an archive, or resume writing it.

    ``how``: resizing and crop; None: of networks that do not say. If the crop leaves something
    out, the array ``view`` (image, side) has the parts of the height and width that it keeps.

    If every picture is in a class folder, it is read by :func:`kc.datasets.folder.read_folder`.
    Otherwise there are no labels: ``train/`` and ``test/`` (or ``val/``) at the top are the
    subsets, or ``settings.test_share`` of all pictures, drawn by ``settings.seed``, is the test
    subset.

    Raises
    ------
    ImageError
        The folder does not exist or has too few pictures, or a named picture does not decode.
    """
    _check_places(source, out)
    how = how or Preparation.of(None, settings)
    # without a path: only workflows restrict the characters of paths
    dataset = Dataset(size=how.size, seed=settings.seed, test_share=settings.test_share)
    about = {"seed": dataset.seed, "test_share": dataset.test_share} | how.geometry
    taken = Source.of(source, records=out.parent / FOLDER)
    key = product_key(about, {"source": taken.digest}, "kc.comparison.pictures")
    out.parent.mkdir(parents=True, exist_ok=True)
    with open_files(source, spool=out.parent) as files:
        samples = ordered(read_samples(files, dataset), dataset.seed)
        _check_counts(source, samples)
        _write(samples, files, how, out, key, taken)
    return open_images(out)


def read_samples(files: Files, dataset: Dataset) -> list[Sample]:
    """List the pictures of a folder, with their classes if all of them have one."""
    pictures = pictures_in(files, "correct --images")
    # folders that contain all pictures carry no information
    around = PurePosixPath(os.path.commonpath(["/".join(parts[:-1]) for parts in pictures])).parts
    inner = [parts[len(around) :] for parts in pictures]
    named = parts_named(files, inner) or {}
    given = "train" in named.values() and len(named) > 1
    depth = min(len(parts) for parts in inner)
    if depth > (2 if given else 1):
        return read_folder(files, dataset)
    if given:
        subsets = given_subsets(files, inner, named)
    else:
        drawn = drawn_subsets(len(inner), dataset.test_share, dataset.seed)
        subsets = dict(zip(sorted(inner), drawn.tolist(), strict=True))
    return [
        Sample(
            image_id="/".join(parts),
            class_name="unlabelled",
            label=0,
            subset=subset,
            file="/".join((*around, *parts)),
            box=None,
            box_at="",
            mask=None,
        )
        for parts, subset in subsets.items()
    ]


def _check_places(source: Path, out: Path) -> None:
    if not source.exists():
        raise ImageError(f"{source}: no such folder or archive. Fix: correct --images.")
    for path in (source, out):
        if not is_text(str(path.absolute())):
            raise ImageError(
                f"{str(path.absolute())!a}: the path is not UTF-8 text, which no card can hold. "
                "Fix: rename the folder, or set a link to it."
            )
    if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
        raise ImageError(
            f"{out.parent}: is inside the folder of the pictures, {source}; figures there "
            "would be read as your pictures next time. Fix: another --out."
        )


def drawn_subsets(count: int, test_share: float, seed: int) -> np.ndarray:
    """Return ``train`` or ``test`` for each of some rows, drawn at random."""
    tested = min(max(round(count * test_share), 1), count - 1)
    rng = np.random.default_rng(derive_seed("split", seed))
    subsets = np.full(count, "train", object)
    subsets[rng.permutation(count)[:tested]] = "test"
    return subsets


def _check_counts(source: Path, samples: Sequence[Sample]) -> None:
    found = {name: sum(sample.subset == name for sample in samples) for name in SUBSETS}
    if any(found[name] < LEAST[name] for name in SUBSETS):
        raise ImageError(
            f"{source}: too few pictures: {found['train']} to fit g on and {found['test']} to test "
            f"it on; expected at least {LEAST['train']} and {LEAST['test']}, and thousands for "
            "useful numbers. Fix: add pictures."
        )


def _write(
    samples: Sequence[Sample], files: Files, how: Preparation, out: Path, key: str, source: Source
) -> None:
    rows = coordinates(samples)
    arrays = image_arrays(len(rows), how.size, masked=False)
    if not how.is_whole:
        arrays.append(ArraySpec("view", ("image", "side"), (len(rows), 2), "float32"))
    size = spell_bytes(check_space(arrays, out))
    with StoreWriter(
        out,
        key,
        StoreContent(
            arrays,
            rows,
            SHARD_ROWS,
            attributes={"layout": "folder", "classes": class_names(rows)},
            source=source,
            passed_over=files.passed,
        ),
        mend=AGAIN,
    ) as writer:
        missing, told = writer.missing(), list[str]()
        total = sum(len(samples[writer.rows(shard)]) for shard in missing)
        with progress_bar(total=total, desc=f"{out.stem} ({size})", unit="image") as bar:
            for shard in missing:
                chosen = samples[writer.rows(shard)]
                decoded = [rgb_of(sample, files) for sample in chosen]
                values = {"image": np.stack([prepared(one.picture, how) for one in decoded])}
                if not how.is_whole:
                    parts = [view(one.picture.size, how) for one in decoded]
                    values["view"] = np.array(parts, np.float32)
                writer.write(shard, values)
                told += [oddity for one in decoded for oddity in one.told]
                bar.update(len(chosen))
        say(files.where, told)
        writer.finish()
