import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kc.concepts.samples import measured_pictures
from kc.datasets.archive import FolderFiles, open_files
from kc.datasets.decode import crop_box, decode
from kc.datasets.det import read_det
from kc.datasets.samples import Box, Sample
from kc.errors import ImageError, SettingsError
from kc.images import build_image_store, open_images
from kc.settings.dataset import Dataset, Generated
from kc.settings.load import load_settings
from kc.synthetic.drawn_files import box_of
from kc.synthetic.scene_plans import draw_scene, planned
from kc.synthetic.write_det import SYNSETS

LION, HOG, CAR = "n02129165", "n02395406", "n02958343"
SIZE = (64, 48)
PICTURES = {
    # boxes from 0, the last pixel excluded
    f"train/ILSVRC2013_train/{LION}/{LION}_3": ((LION, (0, 0, 64, 48)), (CAR, (3, 3, 6, 8))),
    f"train/ILSVRC2013_train/{LION}/{LION}_7": ((HOG, (8, 16, 24, 32)), (LION, (44, 8, 60, 40))),
    "val/ILSVRC2012_val_00000001": ((LION, (16, 8, 32, 24)),),
    "val/ILSVRC2012_val_00000002": (),
}
LISTS = "ILSVRC/ImageSets/DET"
NOTES = "ILSVRC/Annotations/DET"
NAMED = Dataset(layout="det", archive=Path("/det"), synsets={LION: "lion", HOG: "hog"}, size=16)
WIDE = NAMED.model_copy(update={"crop": 1.5, "box_foreground": True, "size": 64})
Edit = Callable[[str, str, str], None]


def annotation(objects) -> str:
    described = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{box[0]}</xmin><xmax>{box[2]}</xmax>"
        f"<ymin>{box[1]}</ymin><ymax>{box[3]}</ymax></bndbox></object>"
        for name, box in objects
    )
    return f"<annotation>{described}</annotation>"


@pytest.fixture
def det(tmp_path: Path) -> Path:
    """Return the folder that holds ``ILSVRC/``; one of the two test pictures has no object."""
    root = tmp_path / "det" / "ILSVRC"
    lines: dict[str, list[str]] = {"train": [], "val": []}
    for seed, (name, objects) in enumerate(PICTURES.items()):
        pixels = np.random.default_rng(seed).integers(0, 256, (48, 64, 3), dtype=np.uint8)
        picture, note = root / f"Data/DET/{name}.JPEG", root / f"Annotations/DET/{name}.xml"
        for file in (picture, note):
            file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(picture, quality=95)
        note.write_text(annotation(objects))
        subset, _, image_id = name.partition("/")
        lines[subset].append(f"{image_id} {len(lines[subset]) + 1}")
    (root / "ImageSets/DET").mkdir(parents=True)
    for subset, some in lines.items():
        (root / f"ImageSets/DET/{subset}.txt").write_text("\n".join(some) + "\n\n")
    return tmp_path / "det"


@pytest.fixture
def edit(det: Path) -> Edit:
    """Return ``edit(name, old, new)``, which replaces text in a file."""

    def replace(name: str, old: str, new: str) -> None:
        text = (det / name).read_text()
        assert old in text
        (det / name).write_text(text.replace(old, new, 1))

    return replace


def by_id(det: Path, dataset: Dataset = NAMED) -> dict[str, Sample]:
    samples = read_det(FolderFiles(det), dataset)
    return {sample.image_id.rpartition("/")[2]: sample for sample in samples}


@pytest.mark.parametrize("text", ["", "ILSVRC2012_val_00000001 -1\n"])
def test_a_list_without_a_picture_to_classify(det: Path, text: str) -> None:
    (det / "ILSVRC/ImageSets/DET/val.txt").write_text(text)
    with pytest.raises(ImageError, match=r"no picture with objects in .*val\.txt\. Fix: download"):
        by_id(det)


def test_every_object_of_a_listed_synset_is_a_sample(det: Path) -> None:
    samples = by_id(det)
    assert list(samples) == [
        f"{LION}_3#0", f"{LION}_7#0", f"{LION}_7#1", "ILSVRC2012_val_00000001#0",
    ]  # fmt: skip
    hog = samples[f"{LION}_7#0"]
    assert (hog.class_name, hog.label, hog.subset, hog.mask) == ("hog", 0, "train", None)
    assert hog.box == Box(8, 16, 24, 32)
    assert hog.box_at.endswith(f"{LION}_7.xml object 1")
    assert [sample.label for sample in samples.values()] == [1, 0, 1, 1]
    assert samples["ILSVRC2012_val_00000001#0"].subset == "test"
    picture = np.asarray(Image.open(det / hog.file))
    shown = decode(hog, FolderFiles(det), 16).image
    np.testing.assert_array_equal(shown, picture[16:32, 8:24].transpose(2, 0, 1))


def test_without_listed_synsets_all_classes_have_synset_names(det: Path) -> None:
    samples = by_id(det, Dataset(layout="det"))
    assert {sample.class_name for sample in samples.values()} == {LION, HOG, CAR}
    assert len(samples) == 5


def test_lists_by_class_are_joined_without_pictures_that_have_no_objects(det: Path) -> None:
    whole = by_id(det)
    lists = det / LISTS
    (lists / "train.txt").unlink()
    of_lion, of_both = (f"ILSVRC2013_train/{LION}/{LION}_{k}" for k in (3, 7))
    (lists / "train_1.txt").write_text(f"{of_lion} 1\n{of_both} 0\nILSVRC2013_train_extra0/x -1\n")
    (lists / "train_124.txt").write_text(f"{of_both} 1\n{of_lion} -1\n")
    assert by_id(det) == whole
    (lists / "train_1.txt").write_text(f"{of_lion} -1\n")
    assert by_id(det).keys() == whole.keys() - {f"{LION}_3#0"}


# (box, crop at 1.5), in a picture of 64 x 48
AT_BORDERS = [
    ((16, 16, 32, 32), (12, 12, 36, 36)),
    ((0, 0, 16, 16), (0, 0, 20, 20)),  # clipped at two sides
    ((48, 32, 64, 48), (44, 28, 64, 48)),
    ((0, 16, 64, 32), (0, 12, 64, 36)),  # as wide as the picture
    ((0, 0, 64, 48), (0, 0, 64, 48)),
]


@pytest.mark.parametrize(("box", "kept"), AT_BORDERS)
def test_a_crop_is_widened_about_its_centre_and_clipped_to_the_picture(
    det: Path, box: tuple[int, ...], kept: tuple[int, ...]
) -> None:
    files = FolderFiles(det)
    sample = by_id(det)[f"{LION}_7#0"]._replace(box=Box(*box))
    assert crop_box(sample, SIZE, files, 1.5) == kept
    assert crop_box(sample, SIZE, files) == box
    found = decode(sample, files, 96, crop=1.5, box_foreground=True)
    left, top, right, bottom = kept
    width, height = right - left, bottom - top
    picture = Image.open(det / sample.file).crop(kept)
    exact = picture.resize((96, 96), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(found.image, np.asarray(exact).transpose(2, 0, 1))
    # pixel k of the crop shows column left + (k + 0.5) / 96 * width of the picture
    at = (np.arange(96) + 0.5) / 96
    across = (box[0] <= left + at * width) & (left + at * width < box[2])
    down = (box[1] <= top + at * height) & (top + at * height < box[3])
    assert found.foreground is not None
    np.testing.assert_array_equal(found.foreground, down[:, None] & across)
    assert decode(sample, files, 96, crop=1.5).foreground is None


def test_foreground_on_the_grid_is_the_box(det: Path, edit: Edit, tmp_path: Path) -> None:
    """16 px boxes: a crop of 24 x 24 has its box in cells 2.67 to 13.33 of 16, at a corner in 0 to
    12.8 of a crop of 20 x 20; a cell is foreground where at least half of its pixels are."""
    edit(f"{NOTES}/train/ILSVRC2013_train/{LION}/{LION}_7.xml", "<xmin>44", "<xmin>0")
    edit(f"{NOTES}/train/ILSVRC2013_train/{LION}/{LION}_7.xml", "<xmax>60", "<xmax>16")
    edit(f"{NOTES}/train/ILSVRC2013_train/{LION}/{LION}_7.xml", "<ymin>8", "<ymin>0")
    edit(f"{NOTES}/train/ILSVRC2013_train/{LION}/{LION}_7.xml", "<ymax>40", "<ymax>16")
    packed = tmp_path / "det.tgz"
    with tarfile.open(packed, "w:gz") as tar:
        tar.add(det / "ILSVRC", "ILSVRC")
    build_image_store(WIDE, packed, tmp_path / "det.zarr", "key")
    store = open_images(tmp_path / "det.zarr")
    assert store.rows["has_foreground"].all()
    found = measured_pictures(store, (), 10)
    cells = {name.rpartition("/")[2]: c.numpy() for name, c in zip(*found[1:], strict=True)}
    # lion 3 fills its picture: no cell is background, so it is not measured
    assert set(cells) == {f"{LION}_7#0", f"{LION}_7#1"}
    centre, corner = np.arange(16), np.arange(16)
    middle = (centre >= 3) & (centre <= 12)  # cell 2: a third inside, 13 as well
    first = corner <= 12  # cell 12: 0.8 inside
    np.testing.assert_array_equal(cells[f"{LION}_7#0"], middle[:, None] & middle)
    np.testing.assert_array_equal(cells[f"{LION}_7#1"], first[:, None] & first)


def test_boxes_alone_give_no_foreground_by_default(det: Path, tmp_path: Path) -> None:
    build_image_store(NAMED, det, tmp_path / "det.zarr", "key")
    store = open_images(tmp_path / "det.zarr")
    assert store.names == ["image"]
    with pytest.raises(ImageError, match="no picture has a mask of its foreground"):
        measured_pictures(store, (), 4)


def test_invalid_crops_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"datasets.d: box_foreground needs a crop above 1"):
        load_settings({"datasets": {"d": {"layout": "det", "box_foreground": True}}})
    with pytest.raises(SettingsError, match=r"crop: .*greater than or equal to 1 \(got 0.9\)"):
        load_settings({"datasets": {"d": {"crop": 0.9}}})
    with pytest.raises(SettingsError, match="boxes, which layout 'folder' does not have"):
        load_settings({"datasets": {"d": {"layout": "folder", "archive": "/a", "crop": 1.5}}})
    with pytest.raises(SettingsError, match="synsets are for layout 'det', not 'voc'"):
        load_settings({"datasets": {"d": {"layout": "voc", "synsets": {LION: "lion"}}}})
    with pytest.raises(SettingsError, match=r"synsets.lion.*: String should match pattern"):
        load_settings({"datasets": {"d": {"layout": "det", "synsets": {"lion": LION}}}})


def test_missing_picture_list_or_annotation(det: Path) -> None:
    (det / f"{NOTES}/val/ILSVRC2012_val_00000001.xml").unlink()
    with pytest.raises(ImageError, match=r"annotation '.*val_00000001\.xml' is missing"):
        by_id(det)
    (det / "ILSVRC/Data/DET/train/ILSVRC2013_train" / LION / f"{LION}_7.JPEG").unlink()
    with pytest.raises(ImageError, match=r"train\.txt line 2: '.*_7\.JPEG' is listed but not"):
        by_id(det)
    (det / LISTS / "train.txt").unlink()
    with pytest.raises(
        ImageError, match=r"no train list 'ILSVRC/ImageSets/DET/train.*download the c"
    ):
        by_id(det)
    (det / LISTS / "val.txt").unlink()
    with pytest.raises(ImageError, match=r"one folder that holds .*DET/val.txt, found none: not t"):
        by_id(det)


def test_two_folders_are_refused(det: Path) -> None:
    (det / "old/ImageSets/DET").mkdir(parents=True)
    (det / "old/ImageSets/DET/val.txt").write_text("")
    with pytest.raises(ImageError, match=r"found 2 of them: ILSVRC/, old/"):
        by_id(det)


def test_a_picture_in_both_subsets_is_refused(det: Path) -> None:
    with (det / LISTS / "val.txt").open("a") as file:
        file.write(f"ILSVRC2013_train/{LION}/{LION}_3 3\n")
    with pytest.raises(ImageError, match=r"val.txt line 4: '.*_3' is already in .*train.txt l"):
        by_id(det)


def test_a_synset_without_objects_is_refused(det: Path) -> None:
    about = NAMED.model_copy(update={"synsets": {LION: "lion", "n02391049": "zebra"}})
    with pytest.raises(ImageError, match=r"no listed picture has an object of n02391049\. Fix"):
        by_id(det, about)


def test_class_without_training_image(det: Path, edit: Edit) -> None:
    edit(f"{NOTES}/val/ILSVRC2012_val_00000001.xml", LION, "n02391049")
    with pytest.raises(ImageError, match=r"class 'zebra' has no training image \('ILSVRC2012_val"):
        by_id(det, NAMED.model_copy(update={"synsets": {"n02391049": "zebra"}}))


def test_drawn_data_is_read_back(tmp_path: Path) -> None:
    tiny = Generated(classes=6, images_per_class=6, canvas=48, seed=1)
    synsets = {SYNSETS[kind]: kind for kind in ("bird", "cow")}
    about = Dataset(
        layout="det", generated=tiny, synsets=synsets, size=48, crop=1.5, box_foreground=True
    )
    build_image_store(about, None, tmp_path / "det.zarr", "key")
    store = open_images(tmp_path / "det.zarr")
    assert store.attributes["classes"] == ["bird", "cow"]
    scenes = [draw_scene(tiny, k, plan.kinds) for k, plan in enumerate(planned(tiny))]
    things = [thing for scene in scenes for thing in scene.things if thing.kind in ("bird", "cow")]
    assert len(store.rows) == len(things) > 8
    assert set(store.rows["subset"]) == {"train", "test"}
    every = read_det(FolderFiles(tmp_path / "det-source"), about.model_copy(update={"synsets": {}}))
    boxes = sorted(box_of(thing.visible) for scene in scenes for thing in scene.things)
    assert sorted(sample.box for sample in every if sample.box) == boxes
    measured = measured_pictures(store, (), 100)
    assert len(measured.ids) > 4
    assert len(set(SYNSETS.values())) == len(SYNSETS) == 20


@pytest.mark.real
def test_the_real_det_subset_is_read(tmp_path: Path) -> None:
    shared = os.environ.get("KC_SHARED")
    if not shared:
        pytest.skip("KC_SHARED is not set: it names the folder of the real pictures")
    archive = Path(shared) / "data/det/ILSVRC2013_DET_subset.tgz"
    if not archive.is_file():
        pytest.skip(f"{archive} is not there")
    with open_files(archive, spool=tmp_path) as files:
        samples = read_det(files, Dataset(layout="det"))
        assert len(samples) == 1560
        assert sum(sample.subset == "train" for sample in samples) == 1080
        assert {sample.label for sample in samples} == set(range(12))
        shares = []
        for sample in samples:
            found = decode(sample, files, 32, crop=1.5, box_foreground=True).foreground
            assert found is not None
            shares.append(float(found.mean()))
    assert min(shares) > 0.3  # 1 / 1.5 ** 2 = 0.44, and the rounding of small boxes
    assert 0.44 <= np.median(shares) < 1
