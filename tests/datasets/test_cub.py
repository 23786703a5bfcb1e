import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kc.concepts.samples import measured_pictures
from kc.datasets.archive import FolderFiles
from kc.datasets.cub import read_cub
from kc.datasets.decode import crop_box, decode
from kc.datasets.samples import Box, Sample
from kc.errors import ImageError
from kc.images import build_image_store, open_images
from kc.settings.dataset import Dataset

Edit = Callable[[str, str, str], None]


def by_id(root: Path) -> dict[str, Sample]:
    return {sample.image_id: sample for sample in read_cub(FolderFiles(root), Dataset())}


def write_mask(root: Path, image: str, size: tuple[int, int] = (20, 16)) -> None:
    mask = np.zeros((size[1], size[0]), dtype=np.uint8)
    mask[4:9, 5:12] = 255
    mask[4, 5:12] = 127
    file = (root / "segmentations" / image).with_suffix(".png")
    file.parent.mkdir(parents=True)
    Image.fromarray(mask).save(file)


def test_lists_are_read(layout: Path) -> None:
    samples = by_id(layout)
    assert len(samples) == 4
    ani = samples["004.Ani/Ani_0002.jpg"]
    assert (ani.class_name, ani.label, ani.subset) == ("004.Ani", 1, "train")
    assert ani.box == Box(1, 2, 11, 11)
    assert ani.box_at == "CUB_200_2011/bounding_boxes.txt line 1"
    assert ani.mask is None
    auk = samples["001.Auk/Auk_0003.jpg"]
    assert (auk.class_name, auk.label, auk.subset) == ("001.Auk", 0, "test")


def test_root_may_be_given_directly(layout: Path) -> None:
    inner = by_id(layout / "CUB_200_2011")
    outer = by_id(layout)
    assert list(inner) == list(outer)
    assert inner["001.Auk/Auk_0001.jpg"].file == "images/001.Auk/Auk_0001.jpg"


@pytest.mark.parametrize("beside", ["", "CUB_200_2011"])
def test_masks_are_found_and_cropped(layout: Path, beside: str) -> None:
    write_mask(layout / beside, "001.Auk/Auk_0001.jpg")
    sample = by_id(layout)["001.Auk/Auk_0001.jpg"]
    exact = sample._replace(box=Box(5, 4, 12, 9))
    whole = decode(exact, FolderFiles(layout), 35).foreground
    assert whole is not None
    # the row of 127 is below half: not foreground; 1 of 5 rows is 7 of 35
    assert not whole[:7].any()
    assert whole[7:].all()


def test_crop_and_resize_keep_the_right_pixels(layout: Path) -> None:
    sample = by_id(layout)["004.Ani/Ani_0002.jpg"]
    picture = np.asarray(Image.open(layout / sample.file).convert("RGB"))
    sample = sample._replace(box=Box(1, 2, 11, 12))
    pixels = decode(sample, FolderFiles(layout), 10)
    np.testing.assert_array_equal(pixels.image, picture[2:12, 1:11].transpose(2, 0, 1))
    whole = decode(sample._replace(box=None), FolderFiles(layout), 8).image
    assert abs(float(whole.mean()) - float(picture.mean())) < 2  # antialiased, not sampled
    assert whole.std() < 0.75 * picture.std()


def test_greyscale_becomes_three_equal_colours(layout: Path) -> None:
    sample = by_id(layout)["001.Auk/Auk_0003.jpg"]
    with Image.open(layout / sample.file) as picture:
        assert picture.mode == "L"
    image = decode(sample, FolderFiles(layout), 16).image
    assert image.shape == (3, 16, 16)
    np.testing.assert_array_equal(image[0], image[2])
    assert image.std() > 0


def test_a_box_is_clamped_within_rounding_and_refused_beyond(layout: Path, edit: Edit) -> None:
    files = FolderFiles(layout)
    sample = by_id(layout)["001.Auk/Auk_0001.jpg"]
    assert crop_box(sample._replace(box=Box(-1.5, -1, 21.5, 17)), (20, 16), files) == (0, 0, 20, 16)
    assert crop_box(sample._replace(box=Box(5.2, 5.2, 5.4, 5.4)), (20, 16), files) == (5, 5, 6, 6)
    assert crop_box(sample._replace(box=Box(20, 3, 21, 9)), (20, 16), files) == (19, 3, 20, 9)
    edit("bounding_boxes.txt", "0.0 0.0 20.0 16.0", "0.0 0.0 20.0 18.0")
    outside = by_id(layout)["001.Auk/Auk_0001.jpg"]
    with pytest.raises(
        ImageError,
        match=r"bounding_boxes\.txt line 2: the box of '001.Auk/Auk_0001.jpg' .*outside.* 20 x 16",
    ):
        decode(outside, files, 16)


@pytest.mark.parametrize("box", [(-2, 0, 9, 9), (0, -2, 9, 9), (0, 0, 22, 9), (0, 0, 9, 18)])
def test_box_outside_any_side_is_refused(layout: Path, box: tuple[float, ...]) -> None:
    sample = by_id(layout)["001.Auk/Auk_0001.jpg"]._replace(box=Box(*box))
    with pytest.raises(ImageError, match="outside its picture"):
        crop_box(sample, (20, 16), FolderFiles(layout))


def test_picture_listed_but_absent(layout: Path) -> None:
    (layout / "CUB_200_2011/images/004.Ani/Ani_0001.jpg").unlink()
    with pytest.raises(
        ImageError, match=r"images\.txt line 4: '.*Ani_0001\.jpg' is listed but not"
    ):
        by_id(layout)


def test_a_picture_path_that_leaves_the_folder_is_refused(layout: Path, edit: Edit) -> None:
    (layout / "CUB_200_2011/Ani_0001.jpg").write_bytes(b"x")
    edit("images.txt", "004.Ani/Ani_0001.jpg", "../Ani_0001.jpg")
    with pytest.raises(ImageError, match=r"images\.txt line 4: .* is listed but not there"):
        by_id(layout)


@pytest.mark.parametrize("content", [b"", b"not a picture", None])
def test_undecodable_picture_is_named(layout: Path, content: bytes | None) -> None:
    sample = by_id(layout)["004.Ani/Ani_0002.jpg"]
    file = layout / sample.file
    file.write_bytes(file.read_bytes()[:300] if content is None else content)
    with pytest.raises(ImageError, match=r"Ani_0002\.jpg' \(of image .* does not decode"):
        decode(sample, FolderFiles(layout), 16)


def test_mask_of_another_size(layout: Path) -> None:
    write_mask(layout, "001.Auk/Auk_0001.jpg", (22, 16))
    sample = by_id(layout)["001.Auk/Auk_0001.jpg"]
    with pytest.raises(ImageError, match=r"Auk_0001\.png' has 22 x 16 px, its picture .* 20 x 16"):
        decode(sample, FolderFiles(layout), 16)


def test_class_without_training_image(layout: Path, edit: Edit) -> None:
    edit("train_test_split.txt", "7 1", "7 0")
    with pytest.raises(
        ImageError, match=r"classes\.txt line 1: class 4 \('004\.Ani'\) has no training image"
    ):
        by_id(layout)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("image_class_labels.txt", "3 1"),
        ("bounding_boxes.txt", "3 4.4"),
        ("train_test_split.txt", "3 0"),
    ],
)
def test_lists_that_disagree(layout: Path, edit: Edit, name: str, line: str) -> None:
    edit(name, line, line.replace("3", "33", 1))
    with pytest.raises(
        ImageError,
        match=rf"images\.txt line 3: image 3 \('001\.Auk/Auk_0003\.jpg'\) has no line in .*{name}",
    ):
        by_id(layout)
    file = layout / "CUB_200_2011" / name
    file.write_text(file.read_text() + line + " 1 1 1\n")
    with pytest.raises(ImageError, match=rf"{name} line 3: image 33 is not in images\.txt"):
        by_id(layout)


@pytest.mark.parametrize(
    ("name", "old", "new", "text"),
    [
        (
            "images.txt",
            "3 001.Auk/Auk_0003.jpg",
            "three Auk",
            r"line 3: expected a number, a space",
        ),
        ("images.txt", "3 001.Auk/Auk_0003.jpg", "3", r"line 3: expected a number, a space"),
        ("images.txt", "3 001.Auk", "2 001.Auk", r"line 3: expected number 2 once"),
        ("images.txt", "3 001.Auk", "9" * 5000 + " x", r"line 3: expected a number, .{250,350}$"),
        ("image_class_labels.txt", "3 1", "3 " + "1" * 5000, r"line 3: expected a class number"),
        ("image_class_labels.txt", "3 1", "3 2", r"line 3: expected a class number of classes"),
        ("image_class_labels.txt", "3 1", "3 one", r"line 3: expected a class number of classes"),
        (
            "train_test_split.txt",
            "3 0",
            "3 2",
            r"line 3: expected 1 \(train\) or 0 \(test\), got '2'",
        ),
        (
            "bounding_boxes.txt",
            "4.4 3.6 8.0 8.0",
            "4.4 3.6 8.0",
            r"line 3: expected x y width height",
        ),
        (
            "bounding_boxes.txt",
            "4.4 3.6 8.0 8.0",
            "4.4 3.6 8.0 a",
            r"line 3: expected x y width height",
        ),
        (
            "bounding_boxes.txt",
            "4.4 3.6 8.0 8.0",
            "4.4 3.6 0 8",
            r"line 3: expected x y width height",
        ),
        (
            "bounding_boxes.txt",
            "4.4 3.6 8.0 8.0",
            "nan 1 1 8",
            r"line 3: expected x y width height",
        ),
        (
            "bounding_boxes.txt",
            "4.4 3.6 8.0 8.0",
            "1 1 inf 8",
            r"line 3: expected x y width height",
        ),
    ],
)
def test_malformed_lines(
    layout: Path, edit: Edit, name: str, old: str, new: str, text: str
) -> None:
    edit(name, old, new)
    with pytest.raises(ImageError, match=rf"CUB_200_2011/{name} {text}"):
        by_id(layout)


def test_empty_lines_are_skipped(layout: Path, edit: Edit) -> None:
    edit("images.txt", "\n", "\n\n")
    assert len(by_id(layout)) == 4


def test_a_byte_order_mark_and_tabs_are_accepted(layout: Path) -> None:
    whole = by_id(layout)
    for file in (layout / "CUB_200_2011").glob("*.txt"):
        file.write_text("\ufeff" + file.read_text().replace(" ", "\t", 3))
    assert by_id(layout) == whole


def test_a_name_that_no_file_can_have_is_missing(layout: Path, edit: Edit) -> None:
    edit("images.txt", "004.Ani/Ani_0001.jpg", "q" * 300 + ".jpg")
    with pytest.raises(ImageError, match=r"q\.jpg' is listed but not there"):
        by_id(layout)


def test_same_picture_twice(layout: Path, edit: Edit) -> None:
    edit("images.txt", "3 001.Auk/Auk_0003.jpg", "3 001.Auk/Auk_0001.jpg")
    with pytest.raises(ImageError, match=r"line 3: '001\.Auk/Auk_0001\.jpg' is listed 2"):
        by_id(layout)


def test_no_cub_layout(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="not the layout of CUB-200-2011"):
        by_id(tmp_path)


def test_missing_list(layout: Path) -> None:
    (layout / "CUB_200_2011/classes.txt").unlink()
    with pytest.raises(ImageError, match=r"'CUB_200_2011/classes\.txt' is missing"):
        by_id(layout)


def test_empty_list(layout: Path) -> None:
    shutil.rmtree(layout / "CUB_200_2011/images")
    for name in ("images", "image_class_labels", "bounding_boxes", "train_test_split", "classes"):
        (layout / f"CUB_200_2011/{name}.txt").write_text("")
    with pytest.raises(ImageError, match=r"images\.txt lists nothing"):
        by_id(layout)


def test_list_that_is_no_text(layout: Path) -> None:
    (layout / "CUB_200_2011/images.txt").write_bytes(b"1 \xff\xfe.jpg\n")
    with pytest.raises(ImageError, match=r"CUB_200_2011/images\.txt is not UTF-8 text"):
        by_id(layout)


def test_both_downloads_in_one_folder_are_read_together(layout: Path, tmp_path: Path) -> None:
    write_mask(layout, "001.Auk/Auk_0001.jpg")
    folder = tmp_path / "downloads"
    folder.mkdir()
    for name in ("CUB_200_2011", "segmentations"):
        with tarfile.open(folder / f"{name}.tgz", "w:gz") as tar:
            tar.add(layout / name, name)
    about = Dataset(layout="cub", size=32)
    build_image_store(about, folder, tmp_path / "cub.zarr", "key")
    store = open_images(tmp_path / "cub.zarr")
    found = measured_pictures(store, (), 4)
    assert found.ids == ["001.Auk/Auk_0001.jpg"]  # the only one with a mask; its box is all of it
    # rows 5 to 8 of 16, columns 5 to 11 of 20: cells 5 to 8, and 4 to 9 (4.0 to 9.6)
    rows, columns = found.foreground[0].any(1), found.foreground[0].any(0)
    assert rows.nonzero().flatten().tolist() == [5, 6, 7, 8]
    assert columns.nonzero().flatten().tolist() == [4, 5, 6, 7, 8, 9]
    (folder / "segmentations.tgz").unlink()
    build_image_store(about, folder, tmp_path / "bare.zarr", "key")
    with pytest.raises(
        ImageError,
        match=r"CUB-200-2011 without its segmentations is cropped to .* shows no background",
    ):
        measured_pictures(open_images(tmp_path / "bare.zarr"), (), 4)
