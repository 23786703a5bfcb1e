"""Reader of the plainest layout: a folder per class, its name the class's name."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import PurePosixPath
from types import MappingProxyType

import numpy as np

from kc.datasets.archive import Files
from kc.datasets.samples import Sample, check_trained, numbered
from kc.errors import ImageError
from kc.names import Subset
from kc.runtime import derive_seed
from kc.settings.dataset import Dataset

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".webp", ".tif", ".tiff")
_SUBSETS: Mapping[str, Subset] = MappingProxyType({"train": "train", "test": "test", "val": "test"})

Parts = tuple[str, ...]
"""A name, folder by folder."""


def read_folder(files: Files, dataset: Dataset) -> list[Sample]:
    """Read all pictures below class folders into samples; what is no picture is passed over.

    Either ``train/CLASS/...`` and ``test/CLASS/...`` (or ``val/``, which is passed over where
    there is ``test/`` too), or ``CLASS/...``: then ``dataset.test_share`` of each class, drawn by
    ``dataset.seed`` and the class's name, is tested on. Folders around all of it do not matter.
    Labels are alphabetical. The whole picture is kept.

    Raises
    ------
    ImageError
        There is no picture, one lies in no class folder, train/ or test/ is missing or has other
        folders beside it, a class has no training image.
    """
    pictures = _pictures(files)
    depth = _common_depth(pictures)
    inner = [picture[depth:] for picture in pictures]
    given = {parts[0] for parts in inner}
    _check_unmixed(files, given)
    if given <= set(_SUBSETS):
        chosen = _given_subsets(files, inner, given)
    else:
        chosen = _drawn_subsets(files, inner, dataset)
    prefix = pictures[0][:depth]
    labels = numbered(name for name, _ in chosen.values())
    samples = [
        Sample(
            image_id="/".join(parts),
            class_name=name,
            label=labels[name],
            subset=subset,
            file="/".join(prefix + parts),
            box=None,
            box_at="",
            mask=None,
        )
        for parts, (name, subset) in chosen.items()
    ]
    check_trained(files, samples)
    return samples


def _pictures(files: Files) -> list[Parts]:
    names = [PurePosixPath(name) for name in files.names()]
    hidden = [any(part.startswith((".", "__MACOSX")) for part in name.parts) for name in names]
    pictures = [
        name.parts
        for name, is_hidden in zip(names, hidden, strict=True)
        if name.suffix.lower() in SUFFIXES and not is_hidden
    ]
    if not pictures:
        raise ImageError(
            f"{files.where}: no picture in it ({', '.join(SUFFIXES)}). "
            "Cure: point 'archive' at the folder that holds one folder per class."
        )
    return pictures


def _common_depth(pictures: Sequence[Parts]) -> int:
    """Count the folders around everything; a lone ``train`` or class folder is not one of them."""
    depth = 0
    while (
        all(len(parts) > depth + 2 for parts in pictures)
        and len({parts[depth] for parts in pictures}) == 1
        and pictures[0][depth] not in _SUBSETS
    ):
        depth += 1
    return depth


def _check_unmixed(files: Files, given: set[str]) -> None:
    """Refuse class folders beside train/ and test/; a lone ``train`` may be a class (of VOC's)."""
    others = sorted(given - set(_SUBSETS))
    if others and "train" in given and given & {"test", "val"}:
        raise ImageError(
            f"{files.where}: '{others[0]}' lies beside train/ and {max(given & {'test', 'val'})}/. "
            "Expected either these or class folders. Cure: move it away."
        )


def _given_subsets(
    files: Files, inner: Sequence[Parts], given: set[str]
) -> dict[Parts, tuple[str, Subset]]:
    tested = "test" if "test" in given else "val"
    for needed in ("train", tested):
        if needed not in given:
            raise ImageError(
                f"{files.where}: has {', '.join(sorted(given))}/ but no {needed}/. Cure: give "
                "train/ and test/ (or val/), or the class folders alone for a drawn split."
            )
    return {
        parts: (_class_of(files, parts, 1), _SUBSETS[parts[0]])
        for parts in inner
        if parts[0] in ("train", tested)
    }


def _drawn_subsets(
    files: Files, inner: Sequence[Parts], dataset: Dataset
) -> dict[Parts, tuple[str, Subset]]:
    chosen: dict[Parts, tuple[str, Subset]] = {}
    by_class = sorted((_class_of(files, parts, 0), parts) for parts in inner)
    for name, group in groupby(by_class, key=lambda pair: pair[0]):
        members = [parts for _, parts in group]
        tested = _tested(len(members), dataset.test_share, derive_seed("split", dataset.seed, name))
        for index, parts in enumerate(members):
            chosen[parts] = (name, "test" if index in tested else "train")
    return chosen


def _tested(count: int, share: float, seed: int) -> set[int]:
    """Draw the members tested on: one at least where there are two, and never all."""
    tested = min(max(round(count * share), 1), count - 1)
    return set(np.random.default_rng(seed).permutation(count)[:tested].tolist())


def _class_of(files: Files, parts: Parts, level: int) -> str:
    if len(parts) < level + 2:
        raise ImageError(
            f"{files.where}: '{'/'.join(parts)}' lies in no class folder. "
            "Cure: move it into one, or away."
        )
    return parts[level]
