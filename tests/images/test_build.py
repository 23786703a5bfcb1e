import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kc.datasets.archive import FolderFiles
from kc.datasets.cub import read_cub
from kc.datasets.decode import decode
from kc.errors import ImageError
from kc.images import build as build_module
from kc.images import build_image_store, open_images
from kc.images.build import ordered
from kc.settings.dataset import Dataset, Generated

Edit = Callable[[str, str, str], None]
DATASET = Dataset(size=16)
BIRDS = Dataset(size=24, generated=Generated(classes=4, images_per_class=5, canvas=40))


def ids(path: Path) -> list[str]:
    return [str(image) for image in open_images(path).image_ids]


@pytest.fixture(scope="module")
def birds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("images") / "birds.zarr"
    build_image_store(BIRDS, None, path, "key")
    return path


def test_store_holds_what_the_layout_says(layout: Path, tmp_path: Path) -> None:
    out = tmp_path / "results" / "cub.zarr"
    manifest = build_image_store(DATASET, layout, out, "key")
    store = open_images(out)
    assert manifest == store.manifest
    assert store["image"].shape == (4, 3, 16, 16)
    assert store["image"].dtype == np.uint8
    assert "foreground" not in store.names
    samples = {sample.image_id: sample for sample in read_cub(FolderFiles(layout), Dataset())}
    for row, line in enumerate(store.rows.itertuples()):
        sample = samples[line.image_id]
        assert (line.label, line.class_name) == (sample.label, sample.class_name)
        assert line.subset == sample.subset
        expected = decode(sample, FolderFiles(layout), 16).image
        np.testing.assert_array_equal(store["image"][row], expected)


def test_archive_and_folder_make_the_same_store(layout: Path, tmp_path: Path) -> None:
    packed = tmp_path / "CUB.tgz"
    with tarfile.open(packed, "w:gz") as tar:
        tar.add(layout / "CUB_200_2011", "CUB_200_2011")
    build_image_store(DATASET, layout, tmp_path / "a.zarr", "key")
    build_image_store(DATASET, packed, tmp_path / "b.zarr", "key")
    a, b = open_images(tmp_path / "a.zarr"), open_images(tmp_path / "b.zarr")
    assert a.digest == b.digest
    np.testing.assert_array_equal(a["image"][:], b["image"][:])


def test_a_generated_store_has_matching_pictures_and_foreground(birds: Path) -> None:
    store = open_images(birds)
    assert store["foreground"].shape == (20, 24, 24)
    samples = {
        s.image_id: s for s in read_cub(FolderFiles(birds.with_name("birds-source")), Dataset())
    }
    for row, image_id in enumerate(store.image_ids):
        pixels = decode(samples[str(image_id)], FolderFiles(birds.with_name("birds-source")), 24)
        np.testing.assert_array_equal(store["foreground"][row].astype(bool), pixels.foreground)
        np.testing.assert_array_equal(store["image"][row], pixels.image)


def test_row_order_is_fixed_by_ids_and_seed_only(layout: Path) -> None:
    samples = read_cub(FolderFiles(layout), Dataset())
    order = [sample.image_id for sample in ordered(samples, 0)]
    assert [sample.image_id for sample in ordered(samples[::-1], 0)] == order
    many = [samples[0]._replace(image_id=f"{k:03d}") for k in range(100)]
    first = [int(sample.image_id) for sample in ordered(many, 0)]
    second = [int(sample.image_id) for sample in ordered(many, 1)]
    assert sorted(first) == sorted(second) == list(range(100))
    assert first != second
    assert first != sorted(first)
    # any block is a random sample: the mean of the first half is near the total mean, 49.5 +- 2.9
    assert abs(np.mean(first[:50]) - 49.5) < 12


def test_digests_depend_on_the_seed_and_are_reproducible(birds: Path, tmp_path: Path) -> None:
    build_image_store(BIRDS, None, tmp_path / "again.zarr", "key")
    assert open_images(tmp_path / "again.zarr").digest == open_images(birds).digest
    other = BIRDS.model_copy(update={"seed": 1})
    build_image_store(other, None, tmp_path / "other.zarr", "key 2")
    assert sorted(ids(tmp_path / "other.zarr")) == sorted(ids(birds))
    assert ids(tmp_path / "other.zarr") != ids(birds)


def test_an_interrupted_build_resumes_at_the_next_shard(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_module, "SHARD_ROWS", 6)
    out = tmp_path / "birds.zarr"
    decoded: list[str] = []

    def counting(sample, files, size, *about):
        if len(decoded) == 14:
            raise KeyboardInterrupt
        decoded.append(sample.image_id)
        return decode(sample, files, size, *about)

    monkeypatch.setattr(build_module, "decode", counting)
    with pytest.raises(KeyboardInterrupt):
        build_image_store(BIRDS, None, out, "key")
    assert not out.with_suffix(".json").exists()
    with monkeypatch.context() as patch:
        rest: list[str] = []
        patch.setattr(
            build_module, "decode", lambda s, *of: (rest.append(s.image_id), decode(s, *of))[1]
        )
        build_image_store(BIRDS, None, out, "key")
    assert rest == ids(birds)[12:]
    np.testing.assert_array_equal(open_images(out)["image"][:], open_images(birds)["image"][:])
    assert json.loads(out.with_suffix(".json").read_text())


def test_bad_picture_in_the_middle_is_named(layout: Path, tmp_path: Path) -> None:
    (layout / "CUB_200_2011/images/004.Ani/Ani_0001.jpg").write_bytes(b"\xff\xd8broken")
    with pytest.raises(ImageError, match=r"Ani_0001\.jpg' .* does not decode"):
        build_image_store(DATASET, layout, tmp_path / "cub.zarr", "key")
    assert not (tmp_path / "cub.json").exists()


def test_masks_of_some_images_only(birds: Path, tmp_path: Path) -> None:
    source = birds.with_name("birds-source")
    folder = tmp_path / "birds"
    folder.mkdir()
    for name in ("images", *(path.name for path in source.glob("*.txt"))):
        (folder / name).symlink_to(source / name)
    masks = sorted((source / "segmentations").iterdir())
    (folder / "segmentations").mkdir()
    for mask in masks[:-1]:
        (folder / "segmentations" / mask.name).symlink_to(mask)
    build_image_store(BIRDS, folder, tmp_path / "birds.zarr", "key")
    store, whole = open_images(tmp_path / "birds.zarr"), open_images(birds)
    known = store.rows["has_foreground"].to_numpy()
    assert known.sum() == 15
    np.testing.assert_array_equal(known, store.rows["label"] != 3)
    assert not store["foreground"][:][~known].any()
    np.testing.assert_array_equal(store["foreground"][:][known], whole["foreground"][:][known])
    assert whole.rows["has_foreground"].all()


def test_missing_archive_names_the_fix(tmp_path: Path) -> None:
    dataset = Dataset(url="https://example.org/a.tgz")
    with pytest.raises(ImageError, match=r"no archive.*example\.org.*--config data_root=FOLDER"):
        build_image_store(dataset, tmp_path / "a.tgz", tmp_path / "out" / "a.zarr", "key")
