from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kc.datasets.archive import FolderFiles
from kc.datasets.decode import crop_box, decode
from kc.datasets.samples import Sample
from kc.datasets.voc import NAMES, SUPERCLASSES, read_voc
from kc.errors import SettingsError
from kc.images import build_image_store, open_images
from kc.settings.dataset import Dataset, Generated
from kc.synthetic import write_voc
from kc.synthetic.drawn_files import box_of
from kc.synthetic.generated import write_generated
from kc.synthetic.kinds import ANIMALS, KINDS, chosen_kinds
from kc.synthetic.scene_plans import draw_scene, planned
from kc.synthetic.scenes import paint_scene
from kc.synthetic.voc_masks import VOID, class_map, object_map, palette
from tests.synthetic.drawn import assert_drawn_once, assert_the_seed_decides

TINY = Generated(classes=20, images_per_class=6, canvas=48, seed=1)
EVERY = Dataset(layout="voc", difficult=True)
ROOT = "VOCdevkit/VOC2007"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generated") / "voc-source"
    write_generated("voc", TINY, folder)
    return folder


def read(folder: Path, dataset: Dataset = EVERY) -> list[Sample]:
    return read_voc(FolderFiles(folder), dataset)


def place(sample: Sample) -> tuple[int, int]:
    """Return the number of the picture and of its object, from 0."""
    picture, _, index = sample.image_id.partition("#")
    return int(picture) - 1, int(index)


def test_twenty_kinds_six_of_them_animals(folder: Path) -> None:
    assert tuple(KINDS) == NAMES
    samples = read(folder)
    names = {sample.class_name: sample for sample in samples}
    assert sorted(names) == list(NAMES)
    assert {name for name in names if names[name].superclass == "animal"} == set(ANIMALS)
    assert {sample.label for sample in samples} == set(range(20))
    assert all(sample.superclass == SUPERCLASSES[sample.class_name] for sample in samples)


def test_most_pictures_show_several_objects(folder: Path) -> None:
    counts = Counter(len(plan.kinds) for plan in planned(TINY))
    assert sorted(counts) == [1, 2, 3, 4]
    assert sum(size * count for size, count in counts.items()) == 120
    shown = Counter(place(sample)[0] for sample in read(folder))
    assert sum(count > 1 for count in shown.values()) > 0.4 * len(shown)
    kinds = Counter(name for plan in planned(TINY) for name in plan.kinds)
    assert set(kinds.values()) == {6}
    tested = Counter(n for plan in planned(TINY) if plan.subset == "val" for n in plan.kinds)
    assert set(tested.values()) == {2}


def test_reader_recovers_labels_boxes_and_masks(folder: Path) -> None:
    files, plans = FolderFiles(folder), planned(TINY)
    scenes = {k: draw_scene(TINY, k, plan.kinds) for k, plan in enumerate(plans)}
    samples = read(folder)
    assert len(samples) == sum(len(scene.things) for scene in scenes.values())
    for sample in samples:
        number, index = place(sample)
        thing = scenes[number].things[index]
        assert sample.class_name == thing.kind
        assert sample.subset == {"train": "train", "val": "test"}[plans[number].subset]
        assert crop_box(sample, (48, 48), files) == box_of(thing.visible)
        foreground = decode(sample._replace(box=None), files, 48).foreground
        assert foreground is not None
        # the rim of objects in front may remove pixels, nothing may add one
        assert not (foreground & ~thing.visible).any()
        assert foreground.sum() >= 0.5 * thing.visible.sum() - 12
    with Image.open(folder / samples[0].file) as jpeg:
        error = np.asarray(jpeg).astype(float) - scenes[place(samples[0])[0]].image
    assert np.abs(error).mean() < 3


def test_store_has_foreground_of_every_object(folder: Path, tmp_path: Path) -> None:
    dataset = Dataset(layout="voc", generated=TINY, size=32)
    build_image_store(dataset, None, tmp_path / "voc.zarr", "key")
    store = open_images(tmp_path / "voc.zarr")
    assert store.rows["has_foreground"].all()
    assert len(store.rows) < len(read(folder))  # without the difficult ones
    shares = store["foreground"][:].mean(axis=(1, 2))
    assert 0.2 < np.median(shares) < 0.9
    assert store.attributes["classes"] == list(NAMES)


def test_objects_that_are_mostly_hidden_or_tiny_are_difficult(folder: Path) -> None:
    easy = {sample.image_id for sample in read(folder, Dataset(layout="voc"))}
    plans = planned(TINY)
    firsts = write_voc._first_pictures(plans)
    assert sorted(firsts) == list(NAMES)
    difficult = 0
    for sample in read(folder):
        number, index = place(sample)
        thing = draw_scene(TINY, number, plans[number].kinds).things[index]
        box = box_of(thing.visible)
        longer = max(box.right - box.left, box.bottom - box.top)
        hard = thing.visible.sum() < write_voc.HIDDEN * thing.whole or longer < write_voc.TINY * 48
        hard = hard and firsts[sample.class_name] != number
        assert (sample.image_id not in easy) == hard
        difficult += hard
    assert 0 < difficult < 20


def test_every_kind_has_a_training_object_even_if_all_are_difficult(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_voc, "TINY", 2.0)
    settings = TINY.model_copy(update={"images_per_class": 4})
    write_generated("voc", settings, tmp_path / "source")
    samples = read(tmp_path / "source", Dataset(layout="voc"))
    assert {sample.class_name for sample in samples} == set(NAMES)
    assert {sample.subset for sample in samples} == {"train"}


def test_same_seed_same_bytes_another_seed_others(folder: Path, tmp_path: Path) -> None:
    assert_the_seed_decides("voc", TINY, folder, tmp_path, 4 * len(planned(TINY)) + 6 + 2)


def test_a_complete_folder_is_not_drawn_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_drawn_once("voc", TINY, folder, partial(monkeypatch.setattr, write_voc, "draw_scene"))


def test_fewer_classes_are_half_animals() -> None:
    for count in range(2, 13):
        kinds = chosen_kinds(count)
        assert len(set(kinds)) == count
        assert sum(kind in ANIMALS for kind in kinds) == min((count + 1) // 2, 6)
    assert chosen_kinds(20) == chosen_kinds(200) == list(NAMES)


@pytest.mark.parametrize("kind", NAMES)
def test_every_kind_fills_a_good_part_of_its_box(kind: str) -> None:
    for seed in range(4):
        things = paint_scene([kind], np.random.default_rng(seed), 64, 0.3).things
        assert [thing.kind for thing in things] == [kind]
        thing = things[0]
        left, top, right, bottom = (int(edge) for edge in box_of(thing.visible))
        assert max(right - left, bottom - top) >= 5
        assert thing.visible[top:bottom, left:right].mean() > 0.2
        assert thing.visible.sum() <= thing.whole


def test_objects_hide_those_behind_them() -> None:
    hidden = 0
    for seed in range(20):
        kinds = ["cow", "sheep", "bus", "sofa"]
        things = paint_scene(kinds, np.random.default_rng(seed), 64, 0.0).things  # no leaves
        assert np.array([thing.visible for thing in things]).sum(axis=0).max() == 1
        assert things[-1].visible.sum() == things[-1].whole
        hidden += any(thing.visible.sum() < thing.whole for thing in things)
    assert hidden > 5


def test_masks_have_the_official_format(folder: Path) -> None:
    first, second = np.zeros((2, 9, 9), dtype=bool)
    first[2:5, 2:5] = True
    second[4:8, 4:8] = True
    second[4, 4] = False
    objects = object_map([first, second], 9)
    assert objects[3, 3] == 1
    assert objects[6, 6] == 2
    assert objects[1, 1] == objects[8, 8] == objects[4, 4] == VOID
    assert objects[0, 0] == 0
    kinds = class_map(objects, [7, 15])
    np.testing.assert_array_equal(kinds == 7, objects == 1)
    np.testing.assert_array_equal(kinds == 15, objects == 2)
    np.testing.assert_array_equal(kinds == VOID, objects == VOID)
    colours = np.array(palette()).reshape(256, 3).tolist()
    # aeroplane, bicycle, person, void: the values of the official masks
    expected = [[128, 0, 0], [0, 128, 0], [192, 128, 128], [224, 224, 192]]
    assert [colours[k] for k in (1, 2, 15, VOID)] == expected
    files = sorted((folder / ROOT / "SegmentationClass").iterdir())
    with Image.open(files[0]) as mask:
        assert mask.mode == "P"
        assert mask.getpalette() == palette()


def test_object_masks_and_class_masks_agree(folder: Path) -> None:
    annotated = {sample.image_id: sample.class_name for sample in read(folder)}
    for file in sorted((folder / ROOT / "SegmentationClass").iterdir()):
        classes = np.asarray(Image.open(file))
        objects = np.asarray(Image.open(folder / ROOT / "SegmentationObject" / file.name))
        for value in set(np.unique(objects)) - {0, VOID}:
            name = annotated[f"{file.stem}#{value - 1}"]
            assert set(classes[objects == value]) == {NAMES.index(name) + 1}


def test_a_layout_that_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match=r"'folder' cannot be drawn, only cub, dogs, voc, det can\."
    ):
        write_generated("folder", TINY, tmp_path / "source")
