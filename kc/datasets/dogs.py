"""Reader of Stanford Dogs' official layout (Khosla et al., 2011).

There are three archives in one folder, or extracted: pictures in ``Images/BREED/``, annotations in
Pascal VOC's XML in ``Annotation/BREED/`` (without a suffix), and the lists ``train_list.mat`` and
``test_list.mat``, which hold pictures, annotations and class numbers from 1.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from kc.datasets.archive import Files
from kc.datasets.mat import read_mat
from kc.datasets.samples import Sample, check_trained, listed_file
from kc.datasets.voc_xml import read_annotation
from kc.errors import ImageError
from kc.names import Subset
from kc.settings.dataset import Dataset

ARCHIVES = ("images.tar", "annotation.tar", "lists.tar")
LISTS: Mapping[str, Subset] = MappingProxyType({"train_list.mat": "train", "test_list.mat": "test"})
_VARIABLES = ("file_list", "annotation_list", "labels")


class _Row(NamedTuple):
    """One picture of a list, with the file and row for messages."""

    picture: str
    annotation: str
    number: int
    subset: Subset
    at: str

    @property
    def breed(self) -> str:
        """Return the folder of the picture, the class name: ``n02085620-Chihuahua``."""
        return self.picture.rpartition("/")[0]


def read_dogs(files: Files, dataset: Dataset) -> list[Sample]:  # noqa: ARG001, all readers take both
    """Read the lists and annotations into samples, one per annotated dog.

    The id of a sample is its path in the list; if a picture has several dogs, ``path#k`` with k
    from 0. Boxes count from 0 and exclude the last pixel (official ones reach from 0 to the
    width). A class has the name of its folder; the names in the annotations are not read because
    they are spelled in two ways.

    Raises
    ------
    ImageError
        A list is missing or malformed, or names a missing file or the same picture twice; a class
        number belongs to two breeds; a class has no training image.
    """
    rows = [row for name, subset in LISTS.items() for row in _listed(files, name, subset)]
    _check_unique(files, rows)
    labels = _labels(files, rows)
    samples = [sample for row in rows for sample in _samples(files, row, labels)]
    check_trained(files, samples)
    return samples


def _listed(files: Files, list_name: str, subset: Subset) -> list[_Row]:
    name = next((each for each in (list_name, f"lists/{list_name}") if each in files), None)
    if name is None:
        raise ImageError(
            f"{files.where}: '{list_name}' and lists.tar are missing: not the layout of "
            f"Stanford Dogs. Fix: point 'archive' at the folder that holds {', '.join(ARCHIVES)}, "
            "or the folders they extract to."
        )
    pictures, annotations, numbers = _read_mat(files, name)
    return [
        _Row(picture, annotation, number, subset, f"{name} row {count}")
        for count, (picture, annotation, number) in enumerate(
            zip(pictures, annotations, numbers, strict=True), 1
        )
    ]


def _read_mat(files: Files, name: str) -> tuple[list[str], list[str], list[int]]:
    try:
        columns = read_mat(files.read(name), _VARIABLES)
    except ImageError as error:
        raise ImageError(
            f"{files.where}: '{name}' is no .mat file of MATLAB 5 to 7.2 ({error}). "
            "Expected file_list, annotation_list and labels. Fix: download lists.tar again."
        ) from error
    pictures, annotations, numbers = columns
    proper = len({len(column) for column in columns}) == 1
    proper = proper and all(isinstance(each, str) for each in pictures + annotations)
    # MATLAB saves numbers as floats by default
    if not (proper and all(isinstance(each, int | float) and each % 1 == 0 for each in numbers)):
        raise ImageError(
            f"{files.where}: {name}: expected file_list and annotation_list (names) and labels "
            f"(whole numbers), of one length; got {len(pictures)}, {len(annotations)} and "
            f"{len(numbers)} of them. Fix: download lists.tar again."
        )
    return pictures, annotations, [int(each) for each in numbers]


def _check_unique(files: Files, rows: Sequence[_Row]) -> None:
    first: dict[str, _Row] = {}
    for row in rows:
        if first.setdefault(row.picture, row) is not row:
            raise ImageError(
                f"{files.where}: {row.at}: '{row.picture}' is already in "
                f"{first[row.picture].at}. Fix: keep one of the two."
            )


def _labels(files: Files, rows: Sequence[_Row]) -> dict[int, int]:
    """Map the official class numbers to labels from 0; check that each has one breed."""
    breeds: dict[int, str] = {}
    for row in rows:
        breed = breeds.setdefault(row.number, row.breed)
        if not row.breed or row.breed != breed:
            raise ImageError(
                f"{files.where}: {row.at}: unknown class: '{row.picture}' has number {row.number}, "
                f"which is '{breed}'. Fix: correct the list, or download lists.tar again."
            )
    twice = [number for number in breeds if list(breeds.values()).count(breeds[number]) > 1]
    if twice:
        raise ImageError(
            f"{files.where}: class '{breeds[twice[0]]}' has several numbers in the lists: {twice}. "
            "Fix: download lists.tar again."
        )
    return {number: label for label, number in enumerate(sorted(breeds))}


def _samples(files: Files, row: _Row, labels: Mapping[int, int]) -> list[Sample]:
    picture = listed_file(files, f"Images/{row.picture}", row.at)
    dogs = read_annotation(files, f"Annotation/{row.annotation}", first=0)
    if not dogs:
        raise ImageError(
            f"{files.where}: 'Annotation/{row.annotation}' has no object. "
            "Fix: download annotation.tar again."
        )
    return [
        Sample(
            image_id=row.picture if len(dogs) == 1 else f"{row.picture}#{index}",
            class_name=row.breed,
            label=labels[row.number],
            subset=row.subset,
            file=picture,
            box=dog.box,
            box_at=dog.at,
            mask=None,
            superclass="dog",
        )
        for index, dog in enumerate(dogs)
    ]
