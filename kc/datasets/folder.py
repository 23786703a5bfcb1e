"""Reader of the simplest layout: one folder per class, with the name of the class."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Literal

import numpy as np

from kc.datasets.archive import Files
from kc.datasets.opening import begins_as_picture
from kc.datasets.samples import Sample, check_trained, numbered
from kc.errors import ImageError, printable
from kc.names import Subset
from kc.runtime import derive_seed
from kc.settings.dataset import Dataset

LOG = logging.getLogger(__name__)

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm"),
)
SplitPart = Literal["train", "test", "val"]
PARTS: Mapping[str, SplitPart] = MappingProxyType(
    {
        **dict.fromkeys(("train", "training"), "train"),
        **dict.fromkeys(("test", "testing"), "test"),
        **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    }
)
"""Names of a split's folders, in lower case, and which part each is."""

LOOKED = 20
"""How many files per unknown suffix, and how many suffixes, are checked by their content."""
LONGEST = 12
"""Longest suffix that a message names: the text after a full stop need not be one."""
MOST_REASONS = 10
"""How many reasons for skipped files a message lists one by one."""

Parts = tuple[str, ...]
"""A name, split at the slashes."""


def read_folder(files: Files, dataset: Dataset) -> list[Sample]:
    """Read all pictures below class folders into samples; other files are skipped.

    The layout is either ``train/CLASS/...`` and ``test/CLASS/...`` (or ``val/``, which is skipped
    if there is ``test/`` too; :data:`PARTS` lists other names), or ``CLASS/...``: then the test
    set is ``dataset.test_share`` of each class, drawn from ``dataset.seed`` and the class's name.
    Folders around all of them are ignored. Labels are alphabetical. The picture is not cropped.

    Raises
    ------
    ImageError
        There is no picture, one is in no class folder, train/ or test/ is missing, has two names
        or is next to other folders, a class has no training image.
    """
    pictures = pictures_in(files, "point 'archive' at the folder that holds one folder per class")
    depth = _common_depth(pictures)
    inner = [picture[depth:] for picture in pictures]
    named = parts_named(files, inner)
    if named is not None:
        given = given_subsets(files, inner, named)
        chosen = {parts: (_class_of(files, parts, 1), subset) for parts, subset in given.items()}
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


def pictures_in(files: Files, fix: str) -> list[Parts]:
    """List the pictures of a folder or archive by their suffixes.

    Skipped files are counted in ``files.passed``, by suffix or reason, and logged.

    Raises
    ------
    ImageError
        There is none (the message ends with ``fix``), or a name is no UTF-8.
    """
    names = [PurePosixPath(name) for name in files.names()]
    shown = [
        name for name in names if not any(part.startswith((".", "__MACOSX")) for part in name.parts)
    ]
    pictures = [name.parts for name in shown if name.suffix.lower() in SUFFIXES]
    left_out = files.left_out() + Counter(hidden=len(names) - len(shown))
    others = [name for name in shown if name.suffix.lower() not in SUFFIXES]
    files.passed = dict((_by_suffix(files, others) + left_out).most_common())
    if not pictures:
        raise ImageError(
            f"{files.where}: no picture in it ({', '.join(SUFFIXES)}); "
            f"{spell_passed(files.passed) or 'no file'} there. Fix: {fix}."
        )
    _check_names(files, pictures)
    if files.passed:
        LOG.warning(
            "%s: %d pictures; skipped: %s",
            *(files.where, len(pictures), spell_passed(files.passed)),
        )
    return pictures


def spell_passed(passed: Mapping[str, int]) -> str:
    """Format the counts of skipped files, the ten largest by name."""
    counts = Counter(passed).most_common()
    told = [f"{count} {reason}" for reason, count in counts[:MOST_REASONS]]
    rest = sum(count for _, count in counts[MOST_REASONS:])
    return ", ".join([*told, *([f"{rest} others"] if rest else [])])


def _by_suffix(files: Files, others: Sequence[PurePosixPath]) -> Counter[str]:
    """Count files by suffix, with a hint if some of them are pictures by content."""
    counts = Counter(name.suffix for name in others)
    looked = Counter[str]()
    seeming = set[str]()
    for name in others:
        looked[name.suffix] += 1
        if looked[name.suffix] <= LOOKED and len(looked) <= LOOKED:
            seeming |= {name.suffix} if begins_as_picture(files.read(str(name), 12)) else set()
    hint = " (pictures by their content: give them a suffix that tells so)"
    named = Counter[str]()
    for suffix, count in counts.items():
        told = "of no suffix" if not suffix else printable(suffix)
        told = told if len(told) <= LONGEST else "of a long suffix"
        named[told + (hint if suffix in seeming else "")] += count
    return named


def _check_names(files: Files, pictures: Sequence[Parts]) -> None:
    """Check that all names can be written as UTF-8."""
    odd = ["/".join(parts) for parts in pictures if not is_text("/".join(parts))]
    if odd:
        raise ImageError(
            f"{files.where}: the name {odd[0]!a} is no UTF-8 text ({len(odd)} such). Fix: "
            "rename, e.g. with convmv -f latin1 -t utf8 -r --notest FOLDER; names in an archive: "
            "unpack it first."
        )


def is_text(name: str) -> bool:
    """Return whether a name can be written as UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _common_depth(pictures: Sequence[Parts]) -> int:
    """Count the folders around everything; a single ``train`` or class folder is not one."""
    depth = 0
    while (
        all(len(parts) > depth + 2 for parts in pictures)
        and len({parts[depth] for parts in pictures}) == 1
        and pictures[0][depth].lower() not in PARTS
    ):
        depth += 1
    return depth


def parts_named(files: Files, inner: Sequence[Parts]) -> dict[str, SplitPart] | None:
    """Return which part of a split each outer folder is; None: they are classes.

    A single ``train`` may be a class (VOC has one).

    Raises
    ------
    ImageError
        A part has two names, or a folder next to train/ is neither a part nor another class.
    """
    within: dict[str, set[str]] = {}
    for parts in inner:
        within.setdefault(parts[0], set()).update(parts[1:-1][:1])
    named = {name: PARTS[name.lower()] for name in sorted(within) if name.lower() in PARTS}
    found: dict[str, str] = {}
    for name, part in named.items():
        if part in found:
            raise ImageError(
                f"{files.where}: has {found[part]}/ and {name}/, two names of one part. "
                "Fix: keep one of them."
            )
        found[part] = name
    others = sorted(set(within) - set(named))
    if not others:
        return named
    if "train" not in found:
        return None
    trained = within[found["train"]]
    twins = [name for name in others if trained and within[name] & trained]
    if len(found) > 1 or twins:
        beside = f"{found['train']}/"
        if len(found) > 1:
            beside += f" and {next(found[part] for part in ('test', 'val') if part in found)}/"
        raise ImageError(
            f"{files.where}: '{(twins or others)[0]}' is next to {beside}. Expected either these "
            f"or class folders. Fix: move it away, or rename it to one of {', '.join(PARTS)}."
        )
    return None


def given_subsets(
    files: Files, inner: Sequence[Parts], named: Mapping[str, SplitPart]
) -> dict[Parts, Subset]:
    """Return the subset of each picture of a split; with a test set, validation is skipped.

    Raises
    ------
    ImageError
        The training or the test set is missing.
    """
    tested: SplitPart = "test" if "test" in named.values() else "val"
    for needed in ("train", tested):
        if needed not in named.values():
            raise ImageError(
                f"{files.where}: has {', '.join(sorted(named))}/ but no {needed}/. Fix: add "
                "it, or use the class folders alone for a random split."
            )
    kept: dict[SplitPart, Subset] = {"train": "train", tested: "test"}
    subsets = {name: kept[part] for name, part in named.items() if part in kept}
    found = {parts: subsets[parts[0]] for parts in inner if parts[0] in subsets}
    if len(found) < len(inner):
        files.passed["pictures of a validation set, beside a test set"] = len(inner) - len(found)
    return found


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
    """Draw the members of the test set: at least one if there are two, and never all."""
    tested = min(max(round(count * share), 1), count - 1)
    return set(np.random.default_rng(seed).permutation(count)[:tested].tolist())


def _class_of(files: Files, parts: Parts, level: int) -> str:
    if len(parts) < level + 2:
        raise ImageError(
            f"{files.where}: '{'/'.join(parts)}' is in no class folder. "
            "Fix: move it into one, or away."
        )
    return parts[level]
