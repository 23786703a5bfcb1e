"""Reader of Pascal VOC's layout (Everingham et al., 2010), any year.

The objects of a picture ``JPEGImages/ID.jpg`` are in ``Annotations/ID.xml``; ``train.txt`` and
``val.txt`` in ``ImageSets/Main/`` list the ids. Some pictures have masks: in
``SegmentationObject/ID.png`` a pixel is the number of its object, from 1 in the order of the
annotation; in ``SegmentationClass/ID.png`` that of its class, from 1 in alphabetical order. 0 is
background, 255 the undecided rim.
"""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from kc.datasets.archive import Files
from kc.datasets.samples import Box, Sample, check_trained, listed_file, numbered
from kc.datasets.voc_xml import Annotated, read_annotation
from kc.errors import ImageError
from kc.names import Subset
from kc.settings.dataset import Dataset

SUPERCLASSES: Mapping[str, str] = MappingProxyType(
    dict.fromkeys(("bird", "cat", "cow", "dog", "horse", "sheep"), "animal")
    | dict.fromkeys(("aeroplane", "bicycle", "boat", "bus", "car", "motorbike", "train"), "vehicle")
    | dict.fromkeys(
        ("bottle", "chair", "diningtable", "pottedplant", "sofa", "tvmonitor"), "household"
    )
    | {"person": "person"}
)
"""The 20 classes, with VOC's group of each."""
NAMES = tuple(sorted(SUPERCLASSES))
_LISTS: Mapping[str, Subset] = MappingProxyType({"train.txt": "train", "val.txt": "test"})
_LIST_FOLDER = "ImageSets/Main/"


def read_voc(files: Files, dataset: Dataset) -> list[Sample]:
    """Read every object of the listed pictures into a sample ``ID#k``, k its index from 0.

    Difficult objects are left out unless ``dataset.difficult``. ``val.txt`` is the test set. Labels
    number the classes that occur, in alphabetical order. A sample's foreground is its own object:
    its pixels in ``SegmentationObject``, or else those of its class in ``SegmentationClass`` if no
    other object of the class touches its box.

    Raises
    ------
    ImageError
        A list, picture or annotation is missing or malformed, an id is listed twice, a class is
        unknown or has no training image.
    """
    root = _root(files)
    samples: list[Sample] = []
    for image_id, (subset, at) in _listed(files, root).items():
        listed_file(files, f"{root}JPEGImages/{image_id}.jpg", at)
        objects = read_annotation(files, f"{root}Annotations/{image_id}.xml", first=1)
        samples += _samples(files, root, image_id, objects, subset, dataset.difficult)
    labels = numbered(sample.class_name for sample in samples)
    samples = [sample._replace(label=labels[sample.class_name]) for sample in samples]
    check_trained(files, samples)
    return samples


def _root(files: Files) -> str:
    """Find the folder of the only year in the archive."""
    last = _LIST_FOLDER + "train.txt"
    roots = [name.removesuffix(last) for name in files.names() if f"/{name}".endswith(f"/{last}")]
    if len(roots) > 1:
        raise ImageError(
            f"{files.where}: holds several years: {', '.join(roots)}. "
            "Fix: point 'archive' at the folder of one, or at its archive."
        )
    if not roots:
        raise ImageError(
            f"{files.where}: it has no VOCdevkit/VOC*/{last}: not the layout of Pascal VOC. "
            "Fix: point 'archive' at the official training archive, or at the folder VOCdevkit."
        )
    return roots[0]


def _listed(files: Files, root: str) -> dict[str, tuple[Subset, str]]:
    """Return the subset of each listed id, and the file and line that list it."""
    listed: dict[str, tuple[Subset, str]] = {}
    for file, subset in _LISTS.items():
        name = f"{root}{_LIST_FOLDER}{file}"
        if name not in files:
            raise ImageError(
                f"{files.where}: '{name}' is missing. Fix: download the complete archive."
            )
        lines = files.read(name).decode("utf-8", errors="replace").splitlines()
        for count, line in enumerate(lines, 1):
            if not line.strip():
                continue
            image_id, at = line.split()[0], f"{name} line {count}"
            if image_id in listed:
                raise ImageError(
                    f"{files.where}: {at}: '{image_id}' is already in "
                    f"{listed[image_id][1]}. Fix: keep one of the two."
                )
            listed[image_id] = (subset, at)
        if subset not in {each for each, _ in listed.values()}:
            raise ImageError(
                f"{files.where}: '{name}' lists nothing. Fix: download the archive again."
            )
    return listed


def _samples(
    files: Files,
    root: str,
    image_id: str,
    objects: Sequence[Annotated],
    subset: Subset,
    difficult: bool,
) -> Iterator[Sample]:
    for index, each in enumerate(objects):
        if each.name not in SUPERCLASSES:
            raise ImageError(
                f"{files.where}: {each.at}: unknown class '{each.name}'; VOC's are "
                f"{', '.join(NAMES)}. Fix: correct the name, or use the layout 'folder'."
            )
        if each.difficult and not difficult:
            continue
        mask, value = _mask(files, root, image_id, objects, index)
        yield Sample(
            image_id=f"{image_id}#{index}",
            class_name=each.name,
            label=-1,
            subset=subset,
            file=f"{root}JPEGImages/{image_id}.jpg",
            box=each.box,
            box_at=each.at,
            mask=mask,
            mask_value=value,
            superclass=SUPERCLASSES[each.name],
        )


def _mask(
    files: Files, root: str, image_id: str, objects: Sequence[Annotated], index: int
) -> tuple[str, int] | tuple[None, None]:
    """Find the mask in which this object can be told from others of its class, and its value."""
    of_object = f"{root}SegmentationObject/{image_id}.png"
    if of_object in files:
        return of_object, index + 1
    of_class = f"{root}SegmentationClass/{image_id}.png"
    own = objects[index]
    others = [each for k, each in enumerate(objects) if k != index and each.name == own.name]
    if of_class in files and not any(_touch(own.box, each.box) for each in others):
        return of_class, NAMES.index(own.name) + 1
    return None, None


def _touch(a: Box, b: Box) -> bool:
    return a.left <= b.right and b.left <= a.right and a.top <= b.bottom and b.top <= a.bottom
