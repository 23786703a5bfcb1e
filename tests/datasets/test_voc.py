import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kc.concepts.samples import measured_pictures
from kc.datasets.archive import FolderFiles, open_files
from kc.datasets.decode import decode
from kc.datasets.samples import Box, Sample
from kc.datasets.voc import NAMES, SUPERCLASSES, read_voc
from kc.errors import ImageError
from kc.images import build_image_store, open_images
from kc.settings.dataset import Dataset

VOC = Dataset(layout="voc", size=16)
SIZE = (20, 16)
OBJECTS = {
    # name, difficult, box from 1 including its last pixel
    "2008_000001": (("dog", 0, (1, 1, 20, 16)), ("person", 1, (3, 3, 6, 8))),
    "2008_000002": (("bus", 0, (5, 4, 12, 9)), ("dog", 0, (15, 3, 19, 9))),
    "2008_000003": (("dog", 0, (2, 2, 10, 10)), ("dog", 0, (8, 8, 20, 16))),
    "2008_000004": (("bus", 0, (2, 2, 9, 9)),),
}
MAIN = "VOCdevkit/VOC2008/ImageSets/Main"
NOTE = "VOCdevkit/VOC2008/Annotations"
Edit = Callable[[str, str, str], None]


def annotation(objects) -> str:
    described = "".join(
        f"<object><name>{name}</name>"
        + f"<part><name>head</name><bndbox><xmin>9</xmin></bndbox></part><difficult>{difficult}"
        + f"</difficult><bndbox><xmin>{box[0]}</xmin><ymin>{box[1]}</ymin>"
        + f"<xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox></object>"
        for name, difficult, box in objects
    )
    return f"<annotation><size><width>20</width></size>{described}</annotation>"


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    """Return the folder that holds ``VOCdevkit/``: three training pictures, one test picture."""
    root = tmp_path / "voc" / "VOCdevkit" / "VOC2008"
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / name).mkdir(parents=True)
    for seed, (image_id, objects) in enumerate(OBJECTS.items()):
        pixels = np.random.default_rng(seed).integers(0, 256, (16, 20, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"JPEGImages/{image_id}.jpg", quality=95)
        (root / f"Annotations/{image_id}.xml").write_text(annotation(objects))
    (root / "ImageSets/Main/train.txt").write_text("2008_000001\n2008_000002\n\n2008_000003\n")
    (root / "ImageSets/Main/val.txt").write_text("2008_000004\n")
    return tmp_path / "voc"


@pytest.fixture
def edit(voc: Path) -> Edit:
    def replace(name: str, old: str, new: str) -> None:
        text = (voc / name).read_text()
        assert old in text
        (voc / name).write_text(text.replace(old, new, 1))

    return replace


def write_mask(voc: Path, kind: str, image_id: str, pixels: np.ndarray, mode: str = "P") -> None:
    mask = Image.fromarray(pixels)
    if mode == "P":
        mask.putpalette([value for k in range(256) for value in (k, 255 - k, 7)])
    file = voc / f"VOCdevkit/VOC2008/Segmentation{kind}/{image_id}.png"
    file.parent.mkdir(exist_ok=True)
    mask.convert(mode).save(file)


def by_id(voc: Path, dataset: Dataset = VOC) -> dict[str, Sample]:
    return {sample.image_id: sample for sample in read_voc(FolderFiles(voc), dataset)}


def test_every_object_that_is_not_difficult_is_a_sample(voc: Path) -> None:
    samples = by_id(voc)
    assert list(samples) == [
        "2008_000001#0",
        "2008_000002#0",
        "2008_000002#1",
        "2008_000003#0",
        "2008_000003#1",
        "2008_000004#0",
    ]
    bus = samples["2008_000002#0"]
    assert bus.box == Box(4, 3, 12, 9)  # 8 x 6 px, counted from 1 including the last one
    assert (bus.class_name, bus.label, bus.superclass, bus.subset) == ("bus", 0, "vehicle", "train")
    assert bus.box_at == f"{NOTE}/2008_000002.xml object 1"
    assert samples["2008_000004#0"].subset == "test"
    assert {sample.label for sample in samples.values()} == {0, 1}
    files = FolderFiles(voc)
    picture = np.asarray(Image.open(voc / bus.file))
    small = decode(bus._replace(box=Box(4, 3, 12, 11)), files, 8).image
    np.testing.assert_array_equal(small, picture[3:11, 4:12].transpose(2, 0, 1))


def test_difficult_objects_by_setting(voc: Path) -> None:
    samples = by_id(voc, VOC.model_copy(update={"difficult": True}))
    assert len(samples) == 7
    assert samples["2008_000001#1"].class_name == "person"
    assert samples["2008_000001#1"].superclass == "person"
    assert samples["2008_000003#1"].image_id in by_id(voc)  # ids do not depend on the setting


def test_the_twenty_names_and_their_groups() -> None:
    assert len(NAMES) == 20
    assert list(NAMES) == sorted(NAMES)
    assert (NAMES[0], NAMES[14], NAMES[19]) == ("aeroplane", "person", "tvmonitor")
    groups = list(SUPERCLASSES.values())
    counts = {name: groups.count(name) for name in groups}
    assert counts == {"animal": 6, "vehicle": 7, "household": 6, "person": 1}


def test_the_foreground_is_only_the_object_itself(voc: Path) -> None:
    mask = np.zeros((16, 20), dtype=np.uint8)
    mask[2:10, 2:10] = 1
    mask[8:16, 8:20] = 2
    mask[2, 2:20] = 255
    write_mask(voc, "Object", "2008_000003", mask)
    first, second = (by_id(voc)[f"2008_000003#{k}"] for k in (0, 1))
    files = FolderFiles(voc)
    found = decode(first._replace(box=None), files, 80).foreground
    assert found is not None
    exact = np.asarray(Image.fromarray(mask).resize((80, 80), Image.Resampling.NEAREST))
    np.testing.assert_array_equal(found, exact == 1)  # neither the other dog nor the rim
    np.testing.assert_array_equal(
        decode(second._replace(box=None), files, 80).foreground, exact == 2
    )
    cropped = decode(second, files, 18).foreground  # box x 7 to 20, y 7 to 16
    assert cropped is not None
    assert cropped[2:, 2:].all()
    assert not cropped[:2].any()


def test_class_masks_are_used_for_the_only_object_of_a_class(voc: Path) -> None:
    mask = np.zeros((16, 20), dtype=np.uint8)
    mask[3:9, 4:12] = NAMES.index("bus") + 1
    mask[2:9, 14:19] = NAMES.index("dog") + 1
    mask[5, 4:12] = 255
    write_mask(voc, "Class", "2008_000002", mask)
    write_mask(voc, "Class", "2008_000003", np.full((16, 20), 12, dtype=np.uint8))
    samples = by_id(voc)
    foreground = decode(samples["2008_000002#0"], FolderFiles(voc), 24).foreground
    assert foreground is not None
    rim = np.arange(24) // 4 == 2
    assert not foreground[rim].any()
    assert foreground[~rim].all()
    assert samples["2008_000002#1"].mask_value == 12
    # two dogs whose boxes overlap: their pixels cannot be told apart
    assert samples["2008_000003#0"].mask is samples["2008_000003#1"].mask is None
    write_mask(voc, "Object", "2008_000002", mask)
    assert by_id(voc)["2008_000002#1"].mask_value == 2


def test_store_knows_which_images_have_foreground(voc: Path, tmp_path: Path) -> None:
    mask = np.zeros((16, 20), dtype=np.uint8)
    mask[3:6, 4:12] = 1
    write_mask(voc, "Object", "2008_000002", mask)
    packed = tmp_path / "voc.tar"
    with tarfile.open(packed, "w") as tar:
        tar.add(voc / "VOCdevkit", "VOCdevkit")
    build_image_store(VOC, packed, tmp_path / "voc.zarr", "key")
    store = open_images(tmp_path / "voc.zarr")
    known = store.rows["has_foreground"].to_numpy()
    assert known.dtype == bool
    assert set(store.rows["image_id"][known]) == {"2008_000002#0", "2008_000002#1"}
    shown = dict(zip(store.rows["image_id"], store["foreground"][:], strict=True))
    assert shown["2008_000002#0"][:8].all()
    assert not shown["2008_000002#0"][8:].any()
    assert not store["foreground"][:][~known].any()
    assert store.attributes["classes"] == ["bus", "dog"]
    assert set(store.rows["superclass"]) == {"animal", "vehicle"}


def plain_cells(inside: np.ndarray, kept: tuple[int, ...], size: int) -> np.ndarray:
    """Return foreground cells, pixel by pixel: crop, resize to the nearest, count by cell."""
    left, top, right, bottom = kept
    shares = np.zeros((16, 16, 2))
    for y, x in np.ndindex(size, size):
        down = top + int((y + 0.5) / size * (bottom - top))
        across = left + int((x + 0.5) / size * (right - left))
        shares[y * 16 // size, x * 16 // size] += inside[down, across], 1
    return 2 * shares[..., 0] >= shares[..., 1]


def test_a_wider_crop_uses_the_mask_or_else_the_box_as_foreground(tmp_path: Path) -> None:
    """Boxes of 80 px at 1.2 grow by 8 px on every side, up to the border at 96 px."""
    root = tmp_path / "voc" / "VOCdevkit" / "VOC2008"
    objects = {
        "1": (("dog", 0, (9, 9, 88, 88)), ("bus", 0, (1, 17, 20, 96))),  # masked
        "2": (("dog", 0, (1, 1, 80, 80)), ("bus", 0, (57, 81, 96, 96))),  # without a mask
        "3": (("dog", 0, (1, 1, 80, 80)),),  # test set
    }
    for name in ("JPEGImages", "Annotations", "ImageSets/Main", "SegmentationObject"):
        (root / name).mkdir(parents=True)
    for image_id, some in objects.items():
        Image.fromarray(np.full((96, 96, 3), 90, dtype=np.uint8)).save(
            root / f"JPEGImages/{image_id}.jpg"
        )
        (root / f"Annotations/{image_id}.xml").write_text(annotation(some))
    (root / "ImageSets/Main/train.txt").write_text("1\n2\n")
    (root / "ImageSets/Main/val.txt").write_text("3\n")
    mask = np.tril(np.ones((96, 96), dtype=np.uint8))
    mask[:, :12] = 2
    mask[40] = 255
    Image.fromarray(mask).save(root / "SegmentationObject/1.png")
    boxes = np.zeros((2, 96, 96), dtype=bool)
    boxes[0, :80, :80] = True
    boxes[1, 80:, 56:] = True
    expected = {
        "1#0": plain_cells(mask == 1, (0, 0, 96, 96), 60),
        "1#1": plain_cells(mask == 2, (0, 8, 22, 96), 60),
        "2#0": plain_cells(boxes[0], (0, 0, 88, 88), 60),
        "2#1": plain_cells(boxes[1], (52, 78, 96, 96), 60),
    }
    about = Dataset(layout="voc", crop=1.2, box_foreground=True, size=60)
    build_image_store(about, tmp_path / "voc", tmp_path / "voc.zarr", "key")
    store = open_images(tmp_path / "voc.zarr")
    assert store.rows["has_foreground"].all()
    found = measured_pictures(store, (), 10)
    assert set(found.ids) == set(expected)
    for image_id, cells in zip(found.ids, found.foreground.numpy(), strict=True):
        np.testing.assert_array_equal(cells, expected[image_id], err_msg=image_id)
        assert 0 < cells.mean() < 1
    build_image_store(
        about.model_copy(update={"box_foreground": False}),
        tmp_path / "voc",
        tmp_path / "masks.zarr",
        "key",
    )
    known = open_images(tmp_path / "masks.zarr").rows.set_index("image_id")["has_foreground"]
    assert set(known.index[known]) == {"1#0", "1#1"}


def test_without_masks_there_is_no_foreground(voc: Path, tmp_path: Path) -> None:
    build_image_store(VOC, voc, tmp_path / "voc.zarr", "key")
    store = open_images(tmp_path / "voc.zarr")
    assert store.names == ["image"]
    assert not store.rows["has_foreground"].any()


def test_mask_of_another_size(voc: Path, tmp_path: Path) -> None:
    write_mask(voc, "Object", "2008_000002", np.ones((16, 21), dtype=np.uint8))
    with pytest.raises(ImageError, match=r"000002\.png' has 21 x 16 px, its picture .* 20 x 16"):
        build_image_store(VOC, voc, tmp_path / "voc.zarr", "key")


def test_a_mask_without_indices_is_refused(voc: Path) -> None:
    write_mask(voc, "Object", "2008_000002", np.ones((16, 20), dtype=np.uint8), "RGB")
    with pytest.raises(ImageError, match=r"000002\.png' is a picture of mode RGB, expected one n"):
        decode(by_id(voc)["2008_000002#0"], FolderFiles(voc), 16)


def test_object_outside_the_image(voc: Path, edit: Edit, tmp_path: Path) -> None:
    edit(f"{NOTE}/2008_000004.xml", "<xmax>9</xmax>", "<xmax>29</xmax>")
    with pytest.raises(
        ImageError, match=r"000004\.xml object 1: the box .*x 1 to 29.* is outside .* 20 x 16"
    ):
        build_image_store(VOC, voc, tmp_path / "voc.zarr", "key")


def test_missing_annotation(voc: Path) -> None:
    (voc / NOTE / "2008_000003.xml").unlink()
    with pytest.raises(ImageError, match=r"annotation '.*2008_000003\.xml' is missing"):
        by_id(voc)


def test_unknown_class_name(voc: Path, edit: Edit) -> None:
    edit(
        f"{NOTE}/2008_000001.xml", "<name>person<", "<name>persona<"
    )  # also for a difficult object
    with pytest.raises(ImageError, match=r"000001\.xml object 2: unknown class 'persona'; .*sofa"):
        by_id(voc)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<xmin>2<", "<xmin>left<"),
        ("<xmin>2<", "<xmin>nan<"),
        ("<xmin>2<", "<xmin>10<"),
        ("<ymax>9<", "<ymax>1<"),
        ("<ymax>9</ymax>", ""),
        ("<name>bus<", "<name> <"),
    ],
)
def test_object_without_name_or_proper_box(voc: Path, edit: Edit, old: str, new: str) -> None:
    edit(f"{NOTE}/2008_000004.xml", old, new)
    with pytest.raises(ImageError, match=r"000004\.xml object 1: expected a name and a bndbox"):
        by_id(voc)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_document_types_are_refused_in_any_encoding(voc: Path, encoding: str) -> None:
    bomb = (
        f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE a [<!ENTITY a "ha">'
        '<!ENTITY b "&a;&a;">]><annotation><object><name>&b;</name></object></annotation>'
    )
    (voc / NOTE / "2008_000004.xml").write_bytes(bomb.encode(encoding))
    expected = "declares a document type" if encoding == "utf-8" else "is no XML in UTF-8"
    with pytest.raises(ImageError, match=rf"2008_000004\.xml' {expected}"):
        by_id(voc)


def test_annotation_that_is_no_xml(voc: Path, edit: Edit) -> None:
    edit(f"{NOTE}/2008_000004.xml", "</annotation>", "")
    with pytest.raises(ImageError, match=r"2008_000004\.xml' is no XML in UTF-8 \(no element"):
        by_id(voc)


def test_listed_picture_that_is_absent(voc: Path) -> None:
    (voc / "VOCdevkit/VOC2008/JPEGImages/2008_000003.jpg").unlink()
    with pytest.raises(ImageError, match=r"train\.txt line 4: '.*003\.jpg' is listed but not"):
        by_id(voc)


@pytest.mark.parametrize("where", ["train.txt", "val.txt"])
def test_id_listed_twice(voc: Path, where: str) -> None:
    with (voc / MAIN / where).open("a") as file:
        file.write("2008_000002  1\n")
    with pytest.raises(ImageError, match=rf"{where} line .: '2008_000002' is already in .*n.txt"):
        by_id(voc)


def test_class_without_training_image(voc: Path, edit: Edit) -> None:
    edit(f"{NOTE}/2008_000002.xml", "<name>bus<", "<name>car<")
    with pytest.raises(ImageError, match=r"class 'bus' has no training image \('2008_000004#0' is"):
        by_id(voc)


@pytest.mark.parametrize("name", ["train.txt", "val.txt"])
def test_empty_lists_are_refused(voc: Path, name: str) -> None:
    (voc / MAIN / name).write_text("\n")
    with pytest.raises(ImageError, match=rf"Main/{name}' lists nothing\. Fix: download"):
        by_id(voc)


def test_pictures_without_objects_are_refused(voc: Path) -> None:
    for file in (voc / NOTE).glob("*.xml"):
        file.write_text("<annotation></annotation>")
    with pytest.raises(ImageError, match="lists name no object"):
        by_id(voc)


def test_missing_list(voc: Path) -> None:
    (voc / MAIN / "val.txt").unlink()
    with pytest.raises(ImageError, match=r"'VOCdevkit/VOC2008/.*/val\.txt' is missing"):
        by_id(voc)
    (voc / MAIN / "train.txt").unlink()
    with pytest.raises(ImageError, match="not the layout of Pascal VOC"):
        by_id(voc)


def test_several_years_are_refused_unless_one_is_chosen(voc: Path) -> None:
    devkit = voc / "VOCdevkit"
    (devkit / "VOC2007/ImageSets/Main").mkdir(parents=True)
    (devkit / "VOC2007/ImageSets/Main/train.txt").write_text("")
    with pytest.raises(ImageError, match=r"several years: VOCdevkit/VOC2007/, VOCdevkit/VOC2008/"):
        by_id(voc)
    assert len(by_id(devkit / "VOC2008")) == 6


@pytest.mark.real
def test_the_real_voc_subset_is_read(tmp_path: Path) -> None:
    shared = os.environ.get("KC_SHARED")
    if not shared:
        pytest.skip("KC_SHARED is not set: it names the folder of the real pictures")
    archive = Path(shared) / "data/voc/VOCtrainval_06-Nov-2007.tar"
    if not archive.is_file():
        pytest.skip(f"{archive} is not there")
    with open_files(archive) as files:
        samples = read_voc(files, VOC)
        assert (len(samples), len({sample.file for sample in samples})) == (2797, 1160)
        assert {sample.label for sample in samples} == set(range(20))
        every = read_voc(files, VOC.model_copy(update={"difficult": True}))
        assert len(every) == 3433
        masked = [sample for sample in samples if sample.mask]
        assert len(masked) == 306
        for sample in masked:
            foreground = decode(sample, files, 64).foreground
            assert foreground is not None
            assert foreground.any()
        with Image.open(io.BytesIO(files.read(samples[0].file))) as picture:
            assert picture.size == (160, 107)
