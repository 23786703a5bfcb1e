import tarfile
import zipfile
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from kc.comparison import CompareSettings, read_network
from kc.comparison import pictures as made
from kc.comparison.notes import of_rows
from kc.comparison.pictures import build_pictures
from kc.comparison.sides import ComparedRows, open_side
from kc.errors import ImageError
from tests.comparison.noise import write

SETTINGS = CompareSettings(size=16)
SPLIT = [f"{part}/{k}.png" for part, count in (("train", 12), ("test", 4)) for k in range(count)]


def build(root, tmp_path, settings=SETTINGS):
    return build_pictures(root, tmp_path / "out" / "pictures.zarr", settings)


def subsets(store):
    return dict(zip(store.rows["image_id"], store.rows["subset"], strict=True))


def test_a_folder_without_classes_is_split_by_seed_and_share(photos, tmp_path):
    found = build(photos, tmp_path)
    assert Counter(subsets(found).values()) == {"train": 36, "test": 24}
    assert set(found.rows["class_name"]) == {"unlabelled"}
    again = build(photos, tmp_path / "again")
    assert subsets(again) == subsets(found)
    other = build(photos, tmp_path / "other", SETTINGS.model_copy(update={"seed": 1}))
    assert subsets(other) != subsets(found)
    few = build(photos, tmp_path / "few", SETTINGS.model_copy(update={"test_share": 0.1}))
    assert Counter(subsets(few).values()) == {"train": 54, "test": 6}


def test_pixels_are_those_of_the_picture_named(photos, tmp_path):
    store = build(photos, tmp_path)
    for row in (0, 17, 59):
        pixels = np.asarray(Image.open(photos / store.image_ids[row]))
        np.testing.assert_array_equal(store["image"][row], pixels.transpose(2, 0, 1))


@pytest.mark.parametrize("around", ["", "data/set"])
def test_a_given_split_without_classes_is_kept(tmp_path, around):
    write(tmp_path / "set" / around, *SPLIT)
    found = subsets(build(tmp_path / "set", tmp_path))
    assert found == {name: name.partition("/")[0] for name in SPLIT}


def test_validation_pictures_are_skipped_if_there_are_test_pictures(tmp_path):
    write(tmp_path / "set", *SPLIT, "val/1.png")
    assert set(subsets(build(tmp_path / "set", tmp_path))) == set(SPLIT)


def test_class_folders_are_read_as_in_other_data_sets(tmp_path):
    names = [f"{kind}/{k}.png" for kind in ("owl", "elk") for k in range(10)]
    found = build(write(tmp_path / "set", *names), tmp_path)
    counts = found.rows.groupby(["class_name", "subset"]).size().to_dict()
    assert counts == {
        (kind, s): n for kind in ("owl", "elk") for s, n in (("train", 6), ("test", 4))
    }


def test_pictures_outside_class_folders_remove_only_the_labels(tmp_path):
    names = [f"{kind}/{k}.png" for kind in ("owl", "elk") for k in range(10)]
    found = build(write(tmp_path / "set", *names, "stray.png"), tmp_path)
    assert len(found.rows) == 21
    assert set(found.rows["class_name"]) == {"unlabelled"}


def test_hidden_files_and_other_files_are_passed_over(photos, tmp_path):
    write(photos, ".thumbs/1.png")
    (photos / "notes.txt").write_text("no picture")
    assert len(build(photos, tmp_path).rows) == 60


def test_an_archive_is_read_in_place(photos, tmp_path):
    with tarfile.open(tmp_path / "photos.tgz", "w:gz") as tar:
        tar.add(photos, "photos")
    packed = build(tmp_path / "photos.tgz", tmp_path / "packed")
    assert packed.digest == build(photos, tmp_path).digest


def test_a_zip_is_read_in_place(photos, tmp_path):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as packed:
        for file in photos.iterdir():
            packed.write(file, f"photos/{file.name}")
    packed = build(tmp_path / "photos.zip", tmp_path / "packed")
    assert packed.digest == build(photos, tmp_path).digest


def test_skipped_files_are_listed_in_the_notes(nets, photos, tmp_path):
    next(photos.glob("*.png")).rename(photos / "0.heic")
    store = build(photos, tmp_path)
    assert store.passed_over == {
        ".heic (pictures by their content: give them a suffix that tells so)": 1
    }
    rows = ComparedRows(store.rows, {"a": store}, {})
    side = open_side("a", read_network(f"{nets}:tiny", seed=0), "conv3", SETTINGS)
    assert of_rows([side], rows).endswith(
        "Passed over: 1 .heic (pictures by their content: give them a suffix that tells so)."
    )


def test_a_folder_may_have_any_name_that_is_text(photos, tmp_path):
    odd = photos.rename(tmp_path / "my photos (1) & 'x'")
    assert len(build(odd, tmp_path).rows) == 60
    worse = odd.rename(tmp_path / "caf\udce9")
    with pytest.raises(ImageError, match=r"caf\\udce9': the path is not UTF-8 .*Fix: rename"):
        build(worse, tmp_path)


def test_an_interrupted_build_resumes(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(made, "SHARD_ROWS", 16)
    decoded, decode = [], made.rgb_of

    def failing(sample, files):
        if len(decoded) == 20:
            raise KeyboardInterrupt
        decoded.append(sample.image_id)
        return decode(sample, files)

    monkeypatch.setattr(made, "rgb_of", failing)
    with pytest.raises(KeyboardInterrupt):
        build(photos, tmp_path)
    # one shard is complete; four pictures of the second were lost
    decoded.append("past the kill")
    build(photos, tmp_path)
    assert len(decoded) == 21 + 60 - 16
    whole = len(decoded)
    build(photos, tmp_path)
    assert len(decoded) == whole
    build(photos, tmp_path, SETTINGS.model_copy(update={"size": 20}))
    assert len(decoded) == whole + 60


def test_an_unreadable_picture_is_named(photos, tmp_path):
    (photos / "13.png").write_bytes(b"\x89PNG torn")
    with pytest.raises(ImageError, match=r"photos: '13\.png' .* does not decode"):
        build(photos, tmp_path)


def test_a_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(ImageError, match=r"none: no such folder or archive\. Fix: correct --im"):
        build(tmp_path / "none", tmp_path)
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "notes.txt").write_text("no picture")
    with pytest.raises(ImageError, match=r"empty: no picture in it \(\.jpg, .*\); 1 \.txt there"):
        build(empty, tmp_path)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (
            [f"{k}.png" for k in range(6)],
            "4 to fit g on and 2 to test it on; expected at least 10 and 4",
        ),
        (["1.png"], "1 to fit g on and 0 to test"),
        ([*(f"train/{k}.png" for k in range(12)), "test/1.png"], "12 to fit g on and 1 to test"),
    ],
)
def test_too_few_pictures_are_refused(tmp_path, names, told):
    with pytest.raises(ImageError, match=rf"set: too few pictures: {told}"):
        build(write(tmp_path / "set", *names), tmp_path)


def test_an_output_folder_among_the_pictures_is_refused(photos):
    with pytest.raises(ImageError, match=r"out: is inside the folder of the pictures, .*--out"):
        build(photos, photos)
