from functools import partial
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image
from scipy.ndimage import binary_dilation

from kc.datasets.archive import FolderFiles
from kc.datasets.decode import crop_box
from kc.datasets.dogs import read_dogs
from kc.datasets.samples import Sample
from kc.settings.dataset import Dataset, Generated
from kc.synthetic import write_dogs
from kc.synthetic.beasts import MARKS
from kc.synthetic.breeds import BREEDS_PER_GROUP, Breed, breed
from kc.synthetic.dog_painting import paint_dog
from kc.synthetic.drawn_files import box_of
from kc.synthetic.generated import write_generated
from kc.synthetic.write_dogs import breed_folder, draw_dog
from tests.synthetic.drawn import assert_drawn_once, assert_the_seed_decides

TINY = Generated(classes=5, images_per_class=5, canvas=40, seed=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generated") / "dogs-source"
    write_generated("dogs", TINY, folder)
    return folder


def read(folder: Path) -> list[Sample]:
    samples = read_dogs(FolderFiles(folder), Dataset(layout="dogs"))
    return sorted(samples, key=lambda sample: (sample.label, number_of(sample)))


def number_of(sample: Sample) -> int:
    return int(sample.image_id.removesuffix(".jpg").rpartition("_")[2])


def test_reader_recovers_labels_and_subsets(folder: Path) -> None:
    samples = read(folder)
    assert [sample.label for sample in samples] == [k // 5 for k in range(25)]
    assert [number_of(sample) for sample in samples] == [k % 5 + 1 for k in range(25)]
    for sample in samples:
        assert sample.class_name == breed_folder(TINY, sample.label)
        assert sample.superclass == "dog"
        assert sample.mask is None
    for label in range(5):
        subsets = [sample.subset for sample in samples if sample.label == label]
        assert (subsets.count("train"), subsets.count("test")) == (3, 2)


def test_reader_recovers_pictures_and_boxes(folder: Path) -> None:
    files = FolderFiles(folder)
    for k, sample in enumerate(read(folder)):
        painting = draw_dog(TINY, k // 5, k % 5)
        with Image.open(folder / sample.file) as jpeg:
            error = np.asarray(jpeg).astype(float) - painting.image
        assert np.abs(error).mean() < 3
        assert crop_box(sample, (40, 40), files) == box_of(painting.foreground)


def test_lists_have_the_official_format(folder: Path) -> None:
    found = scipy.io.loadmat(folder / "train_list.mat")
    assert found["file_list"].shape == found["annotation_list"].shape == (15, 1)
    assert (found["labels"].shape, found["labels"].dtype) == ((15, 1), np.uint8)
    assert set(found["labels"].ravel().tolist()) == {1, 2, 3, 4, 5}
    name = found["annotation_list"][0, 0].item()
    assert found["file_list"][0, 0].item() == f"{name}.jpg"
    assert (folder / "Annotation" / name).is_file()
    assert len(scipy.io.loadmat(folder / "file_list.mat")["labels"]) == 25


def test_same_seed_same_bytes_another_seed_others(folder: Path, tmp_path: Path) -> None:
    assert_the_seed_decides("dogs", TINY, folder, tmp_path, 25 + 25 + 3 + 2)


def test_a_complete_folder_is_not_drawn_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_drawn_once("dogs", TINY, folder, partial(monkeypatch.setattr, write_dogs, "draw_dog"))


def test_picture_does_not_depend_on_how_many_are_drawn() -> None:
    more = TINY.model_copy(update={"classes": 12, "images_per_class": 9})
    np.testing.assert_array_equal(draw_dog(TINY, 4, 2).image, draw_dog(more, 4, 2).image)
    assert breed_folder(TINY, 4) == breed_folder(more, 4)
    assert (draw_dog(TINY, 4, 2).image != draw_dog(TINY, 4, 3).image).any()


def test_breeds_of_a_group_share_their_looks_and_differ_in_marks() -> None:
    for group in range(10):
        members = [breed(group * BREEDS_PER_GROUP + k, seed=3) for k in range(BREEDS_PER_GROUP)]
        beasts = [member.beast for member in members]
        assert len({(beast.coat, beast.ears) for beast in beasts}) == 1
        assert len({beast.marks for beast in beasts}) == BREEDS_PER_GROUP
        assert len(frozenset.intersection(*(beast.marks for beast in beasts))) == 1
        legs = np.array([beast.build.leg for beast in beasts])
        assert 0 < legs.std() < 0.25 * legs.mean()


def test_no_two_breeds_share_a_name() -> None:
    assert len({breed(number, 0).name for number in range(200)}) == 200


@pytest.mark.parametrize("number", [0, 8, 12])  # dropped ears, a dark coat, folded ears
def test_every_mark_can_be_seen(number: int) -> None:
    some = breed(number, 0)

    def marked(*marks: str) -> Breed:
        return some._replace(beast=some.beast._replace(marks=frozenset(marks)))

    plain = paint_dog(marked(), np.random.default_rng(1), 96, 0.0)
    for mark in MARKS:
        painting = paint_dog(marked(mark), np.random.default_rng(1), 96, 0.0)
        np.testing.assert_array_equal(painting.foreground, plain.foreground, mark)
        change = np.abs(painting.image.astype(int) - plain.image.astype(int)).max(axis=2)
        assert (change > 40).sum() >= 8, mark
        beyond = ~binary_dilation(painting.foreground, np.ones((3, 3)))
        assert not (change[beyond] > 0).any(), mark


@pytest.mark.parametrize("difficulty", [0.0, 0.5, 1.0])
def test_dog_lies_inside_the_canvas(difficulty: float) -> None:
    for number in range(0, 28, 4):
        painting = paint_dog(breed(number, 0), np.random.default_rng(number), 48, difficulty)
        assert painting.image.shape == (48, 48, 3)
        edge = np.ones((48, 48), dtype=bool)
        edge[1:-1, 1:-1] = False
        assert not painting.foreground[edge].any()
        assert 0.03 < painting.foreground.mean() < 0.7
