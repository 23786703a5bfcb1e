"""Reader of ILSVRC's layout of its DET task (Russakovsky et al., 2015), any year.

A picture ``Data/DET/SPLIT/ID.JPEG`` has its objects in ``Annotations/DET/SPLIT/ID.xml``, in Pascal
VOC's XML, their names WordNet synsets. ``ImageSets/DET/`` lists the ids: ``val.txt``, and
``train.txt`` or ``train_1.txt`` to ``train_200.txt``, where -1 marks a picture without objects.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from kc.datasets.archive import Files
from kc.datasets.samples import Sample, check_trained, listed_file, numbered
from kc.datasets.voc_xml import read_annotation
from kc.errors import ImageError
from kc.names import Subset
from kc.settings.dataset import Dataset

_LISTS: Mapping[re.Pattern[str], Subset] = MappingProxyType(
    {re.compile(r"train(_\d+)?\.txt"): "train", re.compile(r"val\.txt"): "test"}
)
_LIST_FOLDER = "ImageSets/DET/"
_SPLITS: Mapping[Subset, str] = MappingProxyType({"train": "train", "test": "val"})
_WITHOUT = "-1"
"""Flag of a picture that shows no object of the class; it has no annotation."""


class _Picture(NamedTuple):
    """A listed picture, with the file and line for messages."""

    image_id: str
    subset: Subset
    at: str


def read_det(files: Files, dataset: Dataset) -> list[Sample]:
    """Read every object of ``dataset.synsets`` (empty: every object) into a sample ``ID#k``.

    k is its index in the annotation, from 0. ``val.txt`` is the test set. ``dataset.synsets``
    names the classes, by default a class has the name of its synset; labels are alphabetical.
    Boxes count from 0 and exclude the last pixel, as in :func:`kc.datasets.dogs.read_dogs`. There
    are no masks.

    Raises
    ------
    ImageError
        A list, picture or annotation is missing or malformed, a picture is in both subsets, a
        synset has no object, or a class has no training image.
    """
    names = files.names()
    root = _root(files, names)
    pictures = _listed(files, names, root)
    samples = [each for picture in pictures for each in _samples(files, root, picture, dataset)]
    found = {sample.class_name for sample in samples}
    absent = [synset for synset, name in dataset.synsets.items() if name not in found]
    if absent:
        raise ImageError(
            f"{files.where}: no listed picture has an object of {', '.join(absent)}. "
            "Fix: remove them from the data set's 'synsets'."
        )
    labels = numbered(found)
    samples = [sample._replace(label=labels[sample.class_name]) for sample in samples]
    check_trained(files, samples)
    return samples


def _root(files: Files, names: Sequence[str]) -> str:
    """Find the folder that holds Annotations, Data and ImageSets."""
    last = f"{_LIST_FOLDER}val.txt"
    roots = [name.removesuffix(last) for name in names if f"/{name}".endswith(f"/{last}")]
    if len(roots) != 1:
        found = f"{len(roots)} of them: {', '.join(roots)}" if roots else "none"
        raise ImageError(
            f"{files.where}: expected one folder that holds {last}, found {found}: not the layout "
            "of ILSVRC DET. Fix: point 'archive' at the folder that holds Annotations, Data and "
            "ImageSets, or at its archive."
        )
    return roots[0]


def _listed(files: Files, names: Sequence[str], root: str) -> list[_Picture]:
    """Return each picture with objects once, although several classes may list it."""
    found: dict[str, _Picture] = {}
    folder = f"{root}{_LIST_FOLDER}"
    inside = [name for name in names if name.startswith(folder)]
    for pattern, subset in _LISTS.items():
        lists = [name for name in inside if pattern.fullmatch(name.removeprefix(folder))]
        if not lists:
            raise ImageError(
                f"{files.where}: no {subset} list '{folder}{pattern.pattern}'. "
                "Fix: download the complete archive, ImageSets included."
            )
        for picture in (each for name in lists for each in _lines(files, name, subset)):
            known = found.setdefault(picture.image_id, picture)
            if known.subset != subset:
                raise ImageError(
                    f"{files.where}: {picture.at}: '{picture.image_id}' is already in "
                    f"{known.at}. Fix: keep one of the two."
                )
        if subset not in {picture.subset for picture in found.values()}:
            raise ImageError(
                f"{files.where}: no picture with objects in {', '.join(lists)}. "
                "Fix: download the archive again."
            )
    return list(found.values())


def _lines(files: Files, name: str, subset: Subset) -> Iterator[_Picture]:
    """Read a list: each line has an id, then its number or a flag."""
    lines = files.read(name).decode("utf-8", errors="replace").splitlines()
    for count, line in enumerate(lines, 1):
        image_id, *flag = line.split() or ["", _WITHOUT]
        if flag != [_WITHOUT]:
            yield _Picture(image_id, subset, f"{name} line {count}")


def _samples(files: Files, root: str, picture: _Picture, dataset: Dataset) -> Iterator[Sample]:
    split, image_id = _SPLITS[picture.subset], picture.image_id
    file = listed_file(files, f"{root}Data/DET/{split}/{image_id}.JPEG", picture.at)
    annotation = f"{root}Annotations/DET/{split}/{image_id}.xml"
    for index, each in enumerate(read_annotation(files, annotation, first=0)):
        if not dataset.synsets or each.name in dataset.synsets:
            yield Sample(
                image_id=f"{image_id}#{index}",
                class_name=dataset.synsets.get(each.name, each.name),
                label=-1,
                subset=picture.subset,
                file=file,
                box=each.box,
                box_at=each.at,
                mask=None,
            )
