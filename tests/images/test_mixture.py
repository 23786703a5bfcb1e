from pathlib import Path

import numpy as np
import pytest

from kc.errors import ImageError
from kc.images import build, build_image_store, build_mixture_store, mixture, open_images
from kc.settings.dataset import Dataset, Generated
from kc.store import Store

TINY = Generated(classes=3, images_per_class=5, canvas=40)


def made(folder: Path, layout: str, size: int = 24) -> Store:
    dataset = Dataset.model_validate({"layout": layout, "generated": TINY, "size": size})
    build_image_store(dataset, None, folder / f"{layout}.zarr", "key")
    return open_images(folder / f"{layout}.zarr")


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Store]:
    folder = tmp_path_factory.mktemp("parts")
    return {"dogs": made(folder, "dogs"), "birds": made(folder, "cub")}


@pytest.fixture(scope="module")
def mixed(parts: dict[str, Store], tmp_path_factory: pytest.TempPathFactory) -> Store:
    out = tmp_path_factory.mktemp("mixture") / "deep" / "both.zarr"
    manifest = build_mixture_store(parts, 0, out, "key")
    store = open_images(out)
    assert store.manifest == manifest
    return store


def test_every_image_is_there_once_and_unchanged(parts: dict[str, Store], mixed: Store) -> None:
    assert len(mixed.rows) == 30
    assert set(mixed.image_ids) == {
        f"{name}/{image_id}" for name, store in parts.items() for image_id in store.image_ids
    }
    pictures = mixed["image"][:]
    for line, picture in zip(mixed.rows.itertuples(), pictures, strict=True):
        name, _, image_id = line.image_id.partition("/")
        row = parts[name].image_ids.tolist().index(image_id)
        np.testing.assert_array_equal(picture, parts[name]["image"][row])
        origin = parts[name].rows.iloc[row]
        assert (line.class_name, line.subset) == (origin["class_name"], origin["subset"])
        assert (line.superclass, line.label) == (
            {"dogs": "dog", "birds": "bird"}[name],
            origin["label"] + {"dogs": 0, "birds": 3}[name],
        )


def test_names_of_the_classes_follow_the_labels(parts: dict[str, Store], mixed: Store) -> None:
    classes = parts["dogs"].attributes["classes"] + parts["birds"].attributes["classes"]
    assert mixed.attributes["layout"] == "mixture"
    assert mixed.attributes["parts"] == ["dogs", "birds"]
    assert mixed.attributes["classes"] == classes
    digests = {name: store.digest for name, store in parts.items()}
    assert mixed.attributes["source"] == {"parts": digests}


def test_masks_of_the_parts_that_have_them(parts: dict[str, Store], mixed: Store) -> None:
    known = mixed.rows["has_foreground"].to_numpy()
    np.testing.assert_array_equal(known, mixed.rows["superclass"] == "bird")
    foreground = mixed["foreground"][:]
    assert not foreground[~known].any()
    ids = parts["birds"].image_ids.tolist()
    for row in np.flatnonzero(known):
        origin = ids.index(mixed.image_ids[row].removeprefix("birds/"))
        np.testing.assert_array_equal(foreground[row], parts["birds"]["foreground"][origin])


def test_without_masks_there_is_no_foreground(parts: dict[str, Store], tmp_path: Path) -> None:
    twice = {"a": parts["dogs"], "b": parts["dogs"]}
    build_mixture_store(twice, 0, tmp_path / "mixed.zarr", "key")
    assert open_images(tmp_path / "mixed.zarr").names == ["image"]


def test_order_is_fixed_by_the_seed(parts: dict[str, Store], mixed: Store, tmp_path: Path) -> None:
    for seed in (0, 1):
        build_mixture_store(parts, seed, tmp_path / f"{seed}.zarr", "key")
    again, other = (open_images(tmp_path / f"{seed}.zarr") for seed in (0, 1))
    assert again.digest == mixed.digest
    assert list(other.image_ids) != list(mixed.image_ids)
    assert sorted(other.image_ids) == sorted(mixed.image_ids)
    # parts are mixed, not concatenated
    assert 0 < (mixed.rows["superclass"][:15] == "dog").sum() < 15


def test_an_interrupted_mixture_resumes_at_the_next_shard(
    parts: dict[str, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "SHARD_ROWS", 8)
    monkeypatch.setattr(mixture, "HELD", 1)  # one shard at a time
    out, gathered = tmp_path / "mixed.zarr", []
    gather = mixture._gather

    def counting(arrays, origins, spec):
        if len(gathered) == 5:  # two arrays per shard: in the middle of the third
            raise KeyboardInterrupt
        gathered.append(spec.name)
        return gather(arrays, origins, spec)

    with monkeypatch.context() as patch:
        patch.setattr(mixture, "_gather", counting)
        with pytest.raises(KeyboardInterrupt):
            build_mixture_store(parts, 0, out, "key")
        assert not out.with_suffix(".json").exists()
        gathered[:] = ["before"]
        build_mixture_store(parts, 0, out, "key")
    assert gathered[1:] == ["image", "foreground"] * 2
    monkeypatch.setattr(
        mixture, "HELD", 3 * 8 * 4 * 24 * 24
    )  # three shards at a time, then the fourth
    build_mixture_store(parts, 0, tmp_path / "whole.zarr", "key")
    assert open_images(out).digest == open_images(tmp_path / "whole.zarr").digest


def test_sizes_that_differ_are_refused(parts: dict[str, Store], tmp_path: Path) -> None:
    uneven = {"dogs": parts["dogs"], "large": made(tmp_path, "cub", 32)}
    with pytest.raises(
        ImageError, match=r"one size, its parts have: dogs 24 px, large 32 px\. Fix: set the"
    ):
        build_mixture_store(uneven, 0, tmp_path / "mixed.zarr", "key")
    assert not (tmp_path / "mixed.json").exists()


def test_mixture_is_not_read_from_an_archive(tmp_path: Path) -> None:
    dataset = Dataset(layout="mixture", parts=("dogs", "birds"))
    with pytest.raises(
        ImageError, match=r"layout 'mixture' has no pictures of its own, .*build_mixture_store"
    ):
        build_image_store(dataset, None, tmp_path / "mixed.zarr", "key")
