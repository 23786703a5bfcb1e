"""Reader of CUB-200-2011's official layout (Wah et al., 2011).

Five lists (``images.txt``, ``image_class_labels.txt``, ``bounding_boxes.txt``,
``train_test_split.txt``, ``classes.txt``) have one line per image or class, which starts with its
number. Numbers may have gaps. Pictures are in ``images/``; masks, a separate official download,
in ``segmentations/`` next to ``images/`` or next to ``CUB_200_2011/``.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import NamedTuple

from kc.datasets.archive import Files
from kc.datasets.samples import Box, Sample, listed_file
from kc.errors import ImageError
from kc.names import Subset
from kc.settings.dataset import Dataset

ARCHIVES = ("CUB_200_2011.tgz", "segmentations.tgz")
"""The two official downloads: lists and pictures; masks."""
ROOTS = ("CUB_200_2011/", "")
LISTS = (
    "images.txt",
    "image_class_labels.txt",
    "bounding_boxes.txt",
    "train_test_split.txt",
    "classes.txt",
)
DIGITS = 18
"""Most digits of a number; Python refuses to read very long ones."""
_SUBSETS: Mapping[str, Subset] = {"1": "train", "0": "test"}


class _Line(NamedTuple):
    """The rest of a line after its number, and the file and line for messages."""

    text: str
    at: str


def read_cub(files: Files, dataset: Dataset) -> list[Sample]:  # noqa: ARG001, all readers take both
    """Read the lists into samples, in the order of ``images.txt``.

    Raises
    ------
    ImageError
        A list is missing or malformed, lists disagree, a listed image is missing, or a class has
        no training image.
    """
    root = _root(files)
    images, labels, boxes, subsets, classes = (_read_list(files, root + name) for name in LISTS)
    for name, lines in zip(LISTS[1:4], (labels, boxes, subsets), strict=True):
        _check_same_numbers(files, images, lines, root + name)
    order = {number: label for label, number in enumerate(sorted(classes))}
    samples = []
    for number, line in images.items():
        of_class = _class_number(files, labels[number], classes)
        samples.append(
            Sample(
                image_id=line.text,
                class_name=classes[of_class].text,
                label=order[of_class],
                subset=_subset(files, subsets[number]),
                file=listed_file(files, f"{root}images/{line.text}", line.at),
                box=_box(files, boxes[number]),
                box_at=boxes[number].at,
                mask=_mask(files, root, line.text),
                superclass="bird",
            )
        )
    _check_unique(files, images)
    _check_trained(files, samples, classes)
    return samples


def _root(files: Files) -> str:
    for root in ROOTS:
        if root + LISTS[0] in files:
            return root
    raise ImageError(
        f"{files.where}: it has neither CUB_200_2011/images.txt nor images.txt: "
        "not the layout of CUB-200-2011. Fix: point 'archive' at the official archive, or at the "
        "folder that holds images.txt."
    )


def _read_list(files: Files, name: str) -> dict[int, _Line]:
    """Read ``number rest`` lines; empty lines are skipped."""
    if name not in files:
        raise ImageError(f"{files.where}: '{name}' is missing. Fix: download the complete archive.")
    try:
        text = files.read(name).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ImageError(
            f"{files.where}: {name} is not UTF-8 text ({error}). "
            "Fix: download the official archive, or save the list as UTF-8."
        ) from error
    lines: dict[int, _Line] = {}
    for count, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        number, rest = [*line.split(maxsplit=1), ""][:2]
        at = f"{name} line {count}"
        if not _is_number(number) or not rest.strip():
            raise _malformed(files, at, line, "a number, a space and a value")
        if int(number) in lines:
            raise _malformed(files, at, line, f"number {number} once, but it is a repeat")
        lines[int(number)] = _Line(rest.strip(), at)
    if not lines:
        raise ImageError(
            f"{files.where}: {name} lists nothing. Fix: download the complete archive."
        )
    return lines


def _is_number(text: str) -> bool:
    return text.isdecimal() and len(text) <= DIGITS


def _malformed(files: Files, at: str, got: str, expected: str) -> ImageError:
    return ImageError(
        f"{files.where}: {at}: expected {expected}, got '{got:.200}'. "
        "Fix: correct the line, or download the official archive."
    )


def _check_same_numbers(
    files: Files, images: Mapping[int, _Line], lines: Mapping[int, _Line], name: str
) -> None:
    for number, line in images.items():
        if number not in lines:
            raise ImageError(
                f"{files.where}: {line.at}: image {number} ('{line.text}') has no line in {name}. "
                "Fix: download the official archive; its lists name the same images."
            )
    for number, line in lines.items():
        if number not in images:
            raise ImageError(
                f"{files.where}: {line.at}: image {number} is not in images.txt. "
                "Fix: download the official archive; its lists name the same images."
            )


def _class_number(files: Files, line: _Line, classes: Mapping[int, _Line]) -> int:
    if not _is_number(line.text) or int(line.text) not in classes:
        raise _malformed(files, line.at, line.text, "a class number of classes.txt")
    return int(line.text)


def _subset(files: Files, line: _Line) -> Subset:
    if line.text not in _SUBSETS:
        raise _malformed(files, line.at, line.text, "1 (train) or 0 (test)")
    return _SUBSETS[line.text]


def _box(files: Files, line: _Line) -> Box:
    expected = "x y width height in px, width and height above 0"
    try:
        x, y, width, height = (float(part) for part in line.text.split())
    except ValueError:
        raise _malformed(files, line.at, line.text, expected) from None
    if not (width > 0 and height > 0 and abs(x) + abs(y) + width + height < float("inf")):
        raise _malformed(files, line.at, line.text, expected)
    return Box(x, y, x + width, y + height)


def _mask(files: Files, root: str, image: str) -> str | None:
    inner = PurePosixPath("segmentations", image).with_suffix(".png").as_posix()
    return next((name for name in dict.fromkeys((root + inner, inner)) if name in files), None)


def _check_unique(files: Files, images: Mapping[int, _Line]) -> None:
    path, count = Counter(line.text for line in images.values()).most_common(1)[0]
    if count > 1:
        second = [line.at for line in images.values() if line.text == path][1]
        raise ImageError(
            f"{files.where}: {second}: '{path}' is listed {count} times. Fix: keep one of them."
        )


def _check_trained(files: Files, samples: list[Sample], classes: Mapping[int, _Line]) -> None:
    trained = {sample.label for sample in samples if sample.subset == "train"}
    for label, number in enumerate(sorted(classes)):
        if label not in trained:
            line = classes[number]
            raise ImageError(
                f"{files.where}: {line.at}: class {number} ('{line.text}') has no training image "
                "in train_test_split.txt. Fix: remove it from the lists, or mark one of its "
                "images with 1."
            )
