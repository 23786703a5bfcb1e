import os
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kc.datasets.archive import FolderFiles, open_files
from kc.datasets.decode import decode
from kc.datasets.folder import read_folder, spell_passed
from kc.datasets.samples import Sample
from kc.errors import ImageError
from kc.images import build_image_store, open_images
from kc.settings.dataset import Dataset


def settings(root: Path, **changes: object) -> Dataset:
    return Dataset.model_validate({"layout": "folder", "archive": root, "size": 16} | changes)


def write(root: Path, *names: str) -> Path:
    for seed, name in enumerate(names):
        pixels = np.random.default_rng(seed).integers(0, 256, (16, 20, 3), dtype=np.uint8)
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file)
    return root


def read(root: Path, **changes: object) -> list[Sample]:
    return read_folder(FolderFiles(root), settings(root, **changes))


def subsets(root: Path, **changes: object) -> dict[str, str]:
    return {sample.image_id: sample.subset for sample in read(root, **changes)}


def drawn(root: Path) -> Path:
    return write(root, *(f"{name}/{k}.png" for name in ("owl", "elk", "auk") for k in range(10)))


@pytest.mark.parametrize(
    ("train", "test"),
    [("train", "valid"), ("training", "validation"), ("Train", "Test"), ("TRAIN", "dev")],
)
def test_other_names_of_a_split_are_read(tmp_path: Path, train: str, test: str) -> None:
    write(tmp_path, *(f"{train}/{n}/{k}.png" for n in ("cat", "dog") for k in range(3)))
    write(tmp_path, f"{test}/cat/1.png", f"{test}/dog/1.png")
    assert {s.class_name for s in read(tmp_path)} == {"cat", "dog"}
    assert {name for name, subset in subsets(tmp_path).items() if subset == "test"} == {
        f"{test}/cat/1.png", f"{test}/dog/1.png"
    }  # fmt: skip


def test_links_are_followed_except_in_circles(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", "1.png", "2.png", "3.png")
    root = write(tmp_path / "set", "owl/1.png", "owl/2.gif", "owl/3.JPE")
    (root / "elk").symlink_to(tmp_path / "elsewhere")
    (root / "owl" / "ring").symlink_to(root / "owl")
    assert sorted(subsets(root)) == [
        *(f"elk/{n}.png" for n in (1, 2, 3)), "owl/1.png", "owl/2.gif", "owl/3.JPE"
    ]  # fmt: skip


def test_skipped_files_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = write(tmp_path / "set", "owl/1.png", "owl/2.png", "elk/1.png", "elk/2.png")
    for name in ("owl/3.heic", "elk/4.heic", "README", "what. Each of these", "a.\x1b[1m"):
        (root / name).write_text("words")
    for name in ("elk/gif", "owl/gif"):
        (root / name).write_bytes(b"GIF89a" + bytes(9))
    (root / "owl/.hidden").touch()
    (root / "owl/4.png").symlink_to("nowhere")
    packed = tmp_path / "set.tar"
    with tarfile.open(packed, "w") as tar:
        tar.add(root, "set")
    hint = " (pictures by their content: give them a suffix that tells so)"
    counts = {f"of no suffix{hint}": 3, ".heic": 2, "of a long suffix": 1, ".\\x1b[1m": 1}
    for where, more in (
        (root, "links that lead nowhere"), (packed, "links that lead to no file of the archive")
    ):  # fmt: skip
        with caplog.at_level("WARNING"), open_files(where) as files:
            samples = read_folder(files, settings(root))
        assert len(samples) == 4
        assert files.passed == counts | {"hidden": 1, more: 1}
        assert f"4 pictures; skipped: 3 of no suffix{hint}, 2 .heic, 1 " in caplog.text


def test_skipped_validation_pictures_are_counted(tmp_path: Path) -> None:
    write(tmp_path, "train/owl/1.png", "val/owl/2.png", "val/owl/4.png", "test/owl/3.png")
    files = FolderFiles(tmp_path)
    read_folder(files, settings(tmp_path))
    assert files.passed == {"pictures of a validation set, beside a test set": 2}


def test_the_ten_largest_counts_are_listed_first() -> None:
    passed = {f".{letter}": 1 for letter in "abcdefghijkl"} | {"hidden": 7}
    assert spell_passed(passed) == (
        "7 hidden, 1 .a, 1 .b, 1 .c, 1 .d, 1 .e, 1 .f, 1 .g, 1 .h, 1 .i, 3 others"
    )


@pytest.mark.parametrize("packed", [False, True])
def test_a_name_that_is_no_utf8_is_refused(tmp_path: Path, packed: bool) -> None:
    root = write(tmp_path / "set", "owl/1.png", "owl/2.png")
    (root / "owl/notes.te\udce9t").touch()
    assert len(read(root)) == 2
    (root / "owl/2.png").rename(root / "owl/caf\udce9.png")
    where = root
    if packed:
        where = tmp_path / "set.tar"
        with tarfile.open(where, "w") as tar:
            tar.add(root / "owl", "owl")
    with (
        open_files(where) as files,
        pytest.raises(ImageError, match=r"name 'owl/caf\\udce9\.png' is no UTF-8 .*Fix: rename"),
    ):
        read_folder(files, settings(root))


def test_counts_are_in_the_store_but_in_no_digest(tmp_path: Path) -> None:
    root = write(tmp_path / "set", *(f"{n}/{k}.png" for n in ("owl", "elk") for k in range(3)))
    (root / "owl/3.heic").touch()
    build_image_store(settings(root), root, tmp_path / "out.zarr", "key")
    first = open_images(tmp_path / "out.zarr")
    (root / "owl/.hidden").touch()
    build_image_store(settings(root), root, tmp_path / "out.zarr", "key")
    second = open_images(tmp_path / "out.zarr")
    assert (first.passed_over, second.passed_over) == ({".heic": 1}, {".heic": 1, "hidden": 1})
    assert first.digest == second.digest


def test_a_part_with_two_names_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "train/owl/1.png", "val/owl/2.png", "valid/owl/3.png")
    with pytest.raises(ImageError, match=r"has val/ and valid/, two names of one part\."):
        read(tmp_path)


def test_another_folder_with_the_same_classes_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "train/owl/1.png", "train/elk/1.png", "holdout/owl/2.png", "holdout/elk/2.png")
    with pytest.raises(
        ImageError, match=r"'holdout' is next to train/\. Expected .* rename it to one"
    ):
        read(tmp_path)


def test_train_may_be_a_class(tmp_path: Path) -> None:
    write(tmp_path, *(f"{name}/{k}.png" for name in ("train", "bus") for k in range(4)))
    assert {s.class_name for s in read(tmp_path)} == {"train", "bus"}


@pytest.mark.parametrize("tested", ["test", "val"])
@pytest.mark.parametrize("around", ["", "data/set"])
def test_given_split_is_kept(tmp_path: Path, tested: str, around: str) -> None:
    root = tmp_path / "set"
    write(root / around, "train/owl/1.png", "train/elk/in/2.jpg", "train/elk/3.PNG")
    write(root / around, f"{tested}/elk/1.png", f"{tested}/owl/7.bmp")
    (root / around / "train/owl/notes.txt").write_text("no picture")
    (root / around / "train/owl/.hidden.png").write_bytes(b"")
    samples = {sample.image_id: sample for sample in read(root)}
    assert {name: sample.subset for name, sample in samples.items()} == {
        f"{tested}/elk/1.png": "test",
        f"{tested}/owl/7.bmp": "test",
        "train/elk/3.PNG": "train",
        "train/elk/in/2.jpg": "train",
        "train/owl/1.png": "train",
    }
    elk = samples["train/elk/in/2.jpg"]
    assert (elk.class_name, elk.label, elk.box, elk.mask) == ("elk", 0, None, None)
    assert samples["train/owl/1.png"].label == 1


def test_validation_is_skipped_if_there_is_a_test_set(tmp_path: Path) -> None:
    write(tmp_path, "train/owl/1.png", "val/owl/2.png", "test/owl/3.png")
    assert list(subsets(tmp_path)) == ["test/owl/3.png", "train/owl/1.png"]


def test_whole_picture_is_stored(tmp_path: Path) -> None:
    root = write(tmp_path / "set", "train/owl/1.png", "test/owl/2.png")
    trained = next(sample for sample in read(root) if sample.subset == "train")
    exact = np.asarray(
        Image.open(root / "train/owl/1.png").resize((16, 16), Image.Resampling.BILINEAR)
    )
    np.testing.assert_array_equal(
        decode(trained, FolderFiles(root), 16).image, exact.transpose(2, 0, 1)
    )
    packed = tmp_path / "set.tgz"
    with tarfile.open(packed, "w:gz") as tar:
        tar.add(root, "set")
    for name, source in (("a", root), ("b", packed)):
        build_image_store(settings(source), source, tmp_path / f"{name}.zarr", "key")
    a, b = open_images(tmp_path / "a.zarr"), open_images(tmp_path / "b.zarr")
    assert a.digest == b.digest
    assert a.names == ["image"]
    assert a.attributes["classes"] == ["owl"]


def test_a_random_split_has_its_share_of_each_class(tmp_path: Path) -> None:
    root = drawn(tmp_path)
    for share, tested in ((0.3, 3), (0.01, 1), (0.99, 9)):
        chosen = subsets(root, test_share=share)
        assert len(chosen) == 30
        counted = Counter(name.partition("/")[0] for name in chosen if chosen[name] == "test")
        assert counted == {"auk": tested, "elk": tested, "owl": tested}


def test_a_random_split_depends_only_on_seed_and_class(tmp_path: Path) -> None:
    root = drawn(tmp_path)
    first = subsets(root)
    assert subsets(root) == first
    assert subsets(root, seed=1) != first
    elks = [name for name in first if name.startswith("elk")]
    auks = [name for name in first if name.startswith("auk")]
    assert [first[name] for name in elks] != [first[name] for name in auks]
    write(root, *(f"bee/{k}.png" for k in range(4)))
    assert {name: subset for name, subset in subsets(root).items() if "bee" not in name} == first


def test_a_class_of_one_picture_is_in_the_training_set(tmp_path: Path) -> None:
    root = write(tmp_path, "owl/1.png", "elk/1.png", "elk/2.png")
    assert subsets(root)["owl/1.png"] == "train"


def test_class_may_be_called_train(tmp_path: Path) -> None:
    root = write(tmp_path, "train/1.png", "train/2.png", "bus/1.png", "bus/2.png")
    assert {sample.class_name for sample in read(root)} == {"bus", "train"}


def test_class_without_training_image(tmp_path: Path) -> None:
    write(tmp_path, "train/owl/1.png", "test/owl/2.png", "test/elk/1.png")
    with pytest.raises(
        ImageError, match=r"class 'elk' has no training image \('test/elk/1\.png' is a test image"
    ):
        read(tmp_path)


@pytest.mark.parametrize(
    ("names", "lost"),
    [
        (("owl/1.png", "owl/2.png", "3.png"), "3.png"),
        (("train/owl/1.png", "train/2.png", "test/owl/1.png"), "train/2.png"),
    ],
)
def test_picture_in_no_class_folder(tmp_path: Path, names: tuple[str, ...], lost: str) -> None:
    write(tmp_path, *names)
    with pytest.raises(ImageError, match=rf"'{lost}' is in no class folder\. Fix: move it"):
        read(tmp_path)


@pytest.mark.parametrize(("there", "needed"), [("train", "val"), ("test", "train")])
def test_a_split_with_only_one_part_is_refused(tmp_path: Path, there: str, needed: str) -> None:
    write(tmp_path, f"{there}/owl/1.png", f"{there}/elk/1.png")
    with pytest.raises(ImageError, match=rf"has {there}/ but no {needed}/\. Fix: add it, or"):
        read(tmp_path)


def test_folder_beside_a_given_split(tmp_path: Path) -> None:
    write(tmp_path, "train/owl/1.png", "test/owl/1.png", "unlabelled/some/1.png")
    with pytest.raises(ImageError, match=r"'unlabelled' is next to train/ and test/\. Expected"):
        read(tmp_path)


def test_no_picture(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing here")
    with pytest.raises(ImageError, match=r"no picture in it \(\.jpg, .*Fix: point 'archive'"):
        read(tmp_path)


@pytest.mark.real
def test_the_real_cifar_subset_is_read(tmp_path: Path) -> None:
    shared = os.environ.get("KC_SHARED")
    if not shared:
        pytest.skip("KC_SHARED is not set: it names the folder of the real pictures")
    archive = Path(shared) / "data/cifar10/cifar10_subset.tgz"
    if not archive.is_file():
        pytest.skip(f"{archive} is not there")
    build_image_store(settings(archive), archive, tmp_path / "cifar.zarr", "key")
    rows = open_images(tmp_path / "cifar.zarr").rows
    assert dict(rows["subset"].value_counts()) == {"train": 2000, "test": 800}
    assert set(rows.groupby("label").size()) == {280}
    assert rows["class_name"].nunique() == 10
