import ast
import io
import os
import shutil
import struct
import tarfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from kc.datasets import mat
from kc.datasets.archive import FolderFiles, open_folder_of
from kc.datasets.decode import decode
from kc.datasets.dogs import ARCHIVES, read_dogs
from kc.datasets.samples import Box, Sample
from kc.errors import ImageError
from kc.images import build_image_store, open_images
from kc.settings.dataset import Dataset

DOGS = Dataset(layout="dogs", size=16)
PUG, BOXER = "n02110958-pug", "n02108089-boxer"
TRAIN = [(f"{PUG}/n02110958_7", 9), (f"{BOXER}/n02108089_1", 4), (f"{PUG}/n02110958_8", 9)]
TEST = [(f"{BOXER}/n02108089_2", 4)]


def cells(values: list[object]) -> np.ndarray:
    column = np.empty((len(values), 1), dtype=object)
    column[:, 0] = values
    return column


def write_list(file: Path | io.BytesIO, rows: list[tuple[str, int]], **changes: object) -> None:
    variables = {
        "file_list": cells([f"{path}.jpg" for path, _ in rows]),
        "annotation_list": cells([path for path, _ in rows]),
        "labels": np.array([[number] for _, number in rows], dtype=np.uint8),
    }
    scipy.io.savemat(file, variables | changes)


def write_annotation(file: Path, *boxes: tuple[int, int, int, int]) -> None:
    described = "".join(
        f"<object><name>some dog</name><bndbox><xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax>"
        f"<ymax>{d}</ymax></bndbox></object>"
        for a, b, c, d in boxes
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"<annotation>{described}</annotation>")


@pytest.fixture
def dogs(tmp_path: Path) -> Path:
    """Return a folder with the three archives extracted."""
    root = tmp_path / "dogs"
    for seed, (path, _) in enumerate(TRAIN + TEST):
        pixels = np.random.default_rng(seed).integers(0, 256, (16, 20, 3), dtype=np.uint8)
        picture = root / "Images" / f"{path}.jpg"
        picture.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(picture, quality=95)
        write_annotation(root / "Annotation" / path, (0, 2, 20, 12))
    write_annotation(root / "Annotation" / TRAIN[2][0], (1, 2, 11, 12), (10, 0, 20, 16))
    write_list(root / "train_list.mat", TRAIN)
    write_list(root / "test_list.mat", TEST)
    return root


@pytest.fixture
def packed(dogs: Path, tmp_path: Path) -> Path:
    """Return a folder with the three archives."""
    folder = tmp_path / "packed"
    folder.mkdir()
    members = (["Images"], ["Annotation"], ["train_list.mat", "test_list.mat"])
    for archive, names in zip(ARCHIVES, members, strict=True):
        with tarfile.open(folder / archive, "w") as tar:
            for name in names:
                tar.add(dogs / name, name)
    return folder


def by_id(root: Path) -> dict[str, Sample]:
    return {sample.image_id: sample for sample in read_dogs(FolderFiles(root), DOGS)}


def test_lists_and_annotations_are_read(dogs: Path) -> None:
    samples = by_id(dogs)
    assert list(samples) == [
        f"{PUG}/n02110958_7.jpg",
        f"{BOXER}/n02108089_1.jpg",
        f"{PUG}/n02110958_8.jpg#0",
        f"{PUG}/n02110958_8.jpg#1",
        f"{BOXER}/n02108089_2.jpg",
    ]
    boxer = samples[f"{BOXER}/n02108089_2.jpg"]
    assert (boxer.class_name, boxer.label, boxer.subset) == (BOXER, 0, "test")
    assert (boxer.superclass, boxer.box) == ("dog", Box(0, 2, 20, 12))
    pug = samples[f"{PUG}/n02110958_8.jpg#0"]
    assert (pug.class_name, pug.label, pug.subset) == (PUG, 1, "train")
    assert pug.box_at == f"Annotation/{PUG}/n02110958_8 object 1"
    picture = np.asarray(Image.open(dogs / pug.file))
    image = decode(pug, FolderFiles(dogs), 10).image
    np.testing.assert_array_equal(image, picture[2:12, 1:11].transpose(2, 0, 1))


def test_archives_folders_and_both_mixed_give_the_same_store(
    dogs: Path, packed: Path, tmp_path: Path
) -> None:
    mixed = tmp_path / "mixed"
    shutil.copytree(dogs, mixed, ignore=shutil.ignore_patterns("*.mat"))
    shutil.copy(packed / "lists.tar", mixed)
    digests = []
    for name, source in (("a", dogs), ("b", packed), ("c", mixed)):
        build_image_store(DOGS, source, tmp_path / f"{name}.zarr", "key")
        store = open_images(tmp_path / f"{name}.zarr")
        digests.append(store.digest)
    assert digests[0] == digests[1] == digests[2]
    assert len(store.rows) == 5
    assert set(store.rows["superclass"]) == {"dog"}
    assert store.attributes["classes"] == [BOXER, PUG]


def test_joined_archives_list_and_read_everything(packed: Path) -> None:
    with open_folder_of(packed, ARCHIVES) as files:
        names = files.names()
        assert names == sorted(names)
        assert {"images.tar", "train_list.mat", f"Images/{PUG}/n02110958_7.jpg"} <= set(names)
        assert "Images" not in files
        with pytest.raises(
            ImageError, match=r"packed: has no 'file_list\.mat', and neither have its"
        ):
            files.read("file_list.mat")


def test_broken_archive_among_them_is_named(packed: Path) -> None:
    archive = packed / "annotation.tar"
    archive.write_bytes(archive.read_bytes()[:700])
    with (
        pytest.raises(ImageError, match=r"annotation\.tar: truncated"),
        open_folder_of(packed, ARCHIVES),
    ):
        pass


def test_missing_archive_of_lists(packed: Path, tmp_path: Path) -> None:
    (packed / "lists.tar").unlink()
    with pytest.raises(
        ImageError, match=r"'train_list\.mat' and lists\.tar are missing.*images\.tar, annotation"
    ):
        build_image_store(DOGS, packed, tmp_path / "dogs.zarr", "key")


def test_class_numbers_saved_as_floats(dogs: Path) -> None:
    before = by_id(dogs)
    write_list(dogs / "train_list.mat", TRAIN, labels=np.array([[9.0], [4.0], [9.0]]))
    assert by_id(dogs) == before


def test_lists_in_a_folder_of_their_own(dogs: Path) -> None:
    (dogs / "lists").mkdir()
    for name in ("train_list.mat", "test_list.mat"):
        (dogs / name).rename(dogs / "lists" / name)
    assert len(by_id(dogs)) == 5


def test_list_that_names_an_absent_picture(dogs: Path) -> None:
    write_list(dogs / "train_list.mat", [*TRAIN, (f"{PUG}/n02110958_9", 9)])
    with pytest.raises(
        ImageError, match=r"train_list\.mat row 4: 'Images/.*_9\.jpg' is listed but"
    ):
        by_id(dogs)


def test_a_list_with_a_path_that_leaves_the_folder_is_refused(dogs: Path) -> None:
    shutil.copy(dogs / f"Images/{TRAIN[0][0]}.jpg", dogs.parent / "x.jpg")
    write_list(dogs / "train_list.mat", [*TRAIN, ("../../x", 5)])
    with pytest.raises(ImageError, match=r"'Images/\.\./\.\./x\.jpg' is listed but not there"):
        by_id(dogs)


def test_missing_annotation(dogs: Path) -> None:
    (dogs / f"Annotation/{BOXER}/n02108089_2").unlink()
    with pytest.raises(ImageError, match=r"annotation 'Annotation/.*_2' is missing"):
        by_id(dogs)


def test_annotation_without_object(dogs: Path) -> None:
    write_annotation(dogs / f"Annotation/{BOXER}/n02108089_2")
    with pytest.raises(ImageError, match=r"'Annotation/.*_2' has no object"):
        by_id(dogs)


def test_object_outside_the_image(dogs: Path, tmp_path: Path) -> None:
    write_annotation(dogs / "Annotation" / TEST[0][0], (0, 2, 20, 12), (30, 2, 36, 12))
    with pytest.raises(ImageError, match=r"_2 object 2: the box .*x 30 to 36.* is outside"):
        build_image_store(DOGS, dogs, tmp_path / "dogs.zarr", "key")


@pytest.mark.parametrize("content", [b"", b"no matlab here" * 20, None])
def test_list_that_is_no_mat(dogs: Path, content: bytes | None) -> None:
    file = dogs / "train_list.mat"
    file.write_bytes(file.read_bytes()[:400] if content is None else content)
    with pytest.raises(ImageError, match=r"'train_list\.mat' is no \.mat file"):
        by_id(dogs)


def good_list() -> bytes:
    """Return a list whose bytes do not depend on the time."""
    file = io.BytesIO()
    write_list(file, TRAIN)
    return b"MATLAB 5.0 MAT-file".ljust(116) + file.getvalue()[116:]


def flipped(bit: int) -> bytes:
    data = bytearray(good_list())
    data[bit // 8] ^= 1 << bit % 8
    return bytes(data)


@pytest.mark.parametrize(
    ("bit", "told"),
    [
        (1154, "its reader was ended by SIGSEGV"),  # the crash, in SciPy 1.15 to 1.18
        (3962, "its reader was ended by SIGXCPU"),  # the endless loop
    ],
)
def test_list_that_crashes_its_reader(
    dogs: Path, monkeypatch: pytest.MonkeyPatch, bit: int, told: str
) -> None:
    monkeypatch.setattr(mat, "SECONDS", 2)
    (dogs / "train_list.mat").write_bytes(flipped(bit))
    with pytest.raises(
        ImageError,
        match=rf"dogs: 'train_list\.mat' is no \.mat file of MATLAB 5 to 7\.2 \({told}\)\. "
        r"Expected file_list, annotation_list and labels\. Fix: download lists\.tar",
    ):
        by_id(dogs)


def test_lists_with_a_bit_flipped_are_read_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mat, "SECONDS", 2)
    rng = np.random.default_rng(0)
    names = ("file_list", "annotation_list", "labels")
    whole = mat.read_mat(good_list(), names)
    assert whole == [[f"{path}.jpg" for path, _ in TRAIN], [path for path, _ in TRAIN], [9, 4, 9]]
    for bit in rng.integers(128 * 8, len(good_list()) * 8, 4).tolist():
        try:
            assert len(mat.read_mat(flipped(bit), names)) == 3
        except ImageError as error:
            assert "\n" not in str(error)  # noqa: PT017, either will do


def element(kind: int, data: bytes) -> bytes:
    return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)


def bomb(count: int) -> bytes:
    """Return a compressed list of so many labels, all 0."""
    about = element(6, struct.pack("<II", 9, 0)) + element(5, struct.pack("<ii", count, 1))
    matrix = element(14, about + element(1, b"labels") + element(2, bytes(count)))
    return good_list()[:128] + element(15, zlib.compress(matrix, 1))


def test_a_list_that_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert mat.read_mat(bomb(64), ["labels"]) == [[0] * 64]
    data = bomb(1 << 24)
    assert len(data) < 100_000
    with pytest.raises(ImageError, match=r"^ValueError: 16,777,216 rows, more than 1,048,576"):
        mat.read_mat(data, ["labels"])
    # just what Python and SciPy need
    monkeypatch.setattr(mat, "MEMORY", 400 << 20)
    assert mat.read_mat(bomb(64), ["labels"]) == [[0] * 64]
    with pytest.raises(ImageError, match="MemoryError"):
        mat.read_mat(bomb(1 << 28), ["labels"])
    monkeypatch.setattr(mat, "MOST_BYTES", 1000)
    with pytest.raises(ImageError, match=r"it has 1,001 bytes, more than 1,000"):
        mat.read_mat(bytes(1001), ["labels"])


def test_reader_that_does_not_answer_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mat, "PATIENCE", 0.01)
    with pytest.raises(ImageError, match=r"its reader did not end within 0\.01 s"):
        mat.read_mat(good_list(), ["labels"])


def test_an_invalid_answer_of_the_reader_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for text, told in (
        ("print('no answer')", "its reader answered no JSON: Expecting value"),
        ("raise SystemExit(3)", "its reader ended with code 3"),
    ):
        (tmp_path / "child.py").write_text(text)
        monkeypatch.setattr(mat, "_CHILD", tmp_path / "child.py")
        with pytest.raises(ImageError, match=told):
            mat.read_mat(good_list(), ["labels"])


def test_the_reader_imports_nothing_of_kc() -> None:
    """Each list pays for these imports, so torch must not be among them."""
    nodes = list(ast.walk(ast.parse(Path(mat.__file__).with_name("mat_child.py").read_text())))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    assert names == {"io", "json", "resource", "sys", "numpy", "scipy.io"}


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": np.array([[1], [2]])},
        {"labels": np.array([[1.5], [2.0], [1.5]])},
        {"labels": np.array([[np.nan], [2.0], [1.0]])},
        {"file_list": np.array([[1], [2], [3]])},
        {"annotation_list": cells(["a", 3, "c"])},
    ],
)
def test_a_list_with_wrong_types_is_refused(dogs: Path, changes: dict[str, np.ndarray]) -> None:
    write_list(dogs / "train_list.mat", TRAIN, **changes)
    with pytest.raises(
        ImageError, match=r"train_list\.mat: expected file_list and annotation_list"
    ):
        by_id(dogs)


def test_list_without_its_variables(dogs: Path) -> None:
    scipy.io.savemat(dogs / "train_list.mat", {"labels": np.array([[1]])})
    with pytest.raises(ImageError, match=r"of one length; got 0, 0 and 1 of them"):
        by_id(dogs)


def test_same_picture_in_both_lists(dogs: Path) -> None:
    write_list(dogs / "test_list.mat", [*TEST, TRAIN[1]])
    with pytest.raises(
        ImageError, match=r"test_list\.mat row 2: .* already in train_list\.mat row"
    ):
        by_id(dogs)


def test_number_of_another_breed(dogs: Path) -> None:
    write_list(dogs / "test_list.mat", [(TEST[0][0], 9)])
    with pytest.raises(
        ImageError, match=r"test_list\.mat row 1: unknown class: .* number 9, .*pug"
    ):
        by_id(dogs)


def test_breed_of_two_numbers(dogs: Path) -> None:
    write_list(dogs / "test_list.mat", [(TEST[0][0], 5)])
    with pytest.raises(ImageError, match=r"class 'n02108089-boxer' has several numbers .*\[4, 5\]"):
        by_id(dogs)


def test_class_without_training_image(dogs: Path) -> None:
    write_list(dogs / "train_list.mat", [TRAIN[0]])  # one row, which squeezing turns into a scalar
    with pytest.raises(ImageError, match=r"class 'n02108089-boxer' has no training image"):
        by_id(dogs)


@pytest.mark.real
def test_the_real_dogs_subset_is_read(tmp_path: Path) -> None:
    shared = os.environ.get("KC_SHARED")
    if not shared:
        pytest.skip("KC_SHARED is not set: it names the folder of the real pictures")
    folder = Path(shared) / "data/dogs"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    build_image_store(DOGS, folder, tmp_path / "dogs.zarr", "key")
    rows = open_images(tmp_path / "dogs.zarr").rows
    assert len(rows) == 1250
    pictures = rows.assign(picture=rows["image_id"].str.partition("#")[0]).drop_duplicates(
        "picture"
    )
    assert dict(pictures["subset"].value_counts()) == {"train": 738, "test": 492}
    assert rows["label"].nunique() == 9
