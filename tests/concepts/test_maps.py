"""Stores of entropy maps: their content, their images, and interruptions."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from kc.concepts import image_seed, maps, pixel_entropy, preset
from kc.concepts.entropy import EntropyResult
from kc.concepts.maps import map_networks, read_maps
from kc.concepts.networks import Given, layer_head, load_at, train_concept_networks
from kc.concepts.samples import measured_pictures
from kc.errors import ImageError, StoreError
from kc.images import normalise
from kc.plans.concept_products import ConceptNetwork
from kc.settings.concepts import Concepts, Lessons
from kc.settings.recipes import Network
from kc.store import Store, open_store
from tests.reference import plain_concepts as plain

CPU = torch.device("cpu")
ABOUT = Concepts(
    architectures=("alexnet",),
    layers=("fc1",),
    images=3,
    training=Lessons(epochs=2, checkpoints=(0, 2), batch_size=8),
)
PLAN = ConceptNetwork("objects", "alexnet", "baseline")


@pytest.fixture
def images(make_images: Callable[..., Store], tmp_path: Path) -> Store:
    """Return images; the baseline trained on them is in ``tmp_path / "networks"``."""
    store = make_images()
    shape = Network(width=0.0625, head_units=16, small_input=True)
    given = Given(store, shape, ABOUT.training, ABOUT.layers)
    train_concept_networks([PLAN], given, tmp_path / "networks", CPU)
    return store


def search(images: Store, folder: Path, out: str = "maps") -> None:
    map_networks([PLAN], images, ABOUT, folder / "networks", folder / out, CPU)


def test_maps_are_those_of_the_search_checkpoint_by_checkpoint(images: Store, tmp_path: Path):
    search(images, tmp_path)
    found = read_maps(PLAN, "fc1", tmp_path / "maps")
    measured = measured_pictures(images, (), ABOUT.images)
    assert found.epochs == (0, 2)
    assert found.ids == measured.ids
    pictures = normalise(torch.from_numpy(images["image"][measured.rows]))
    for H, epoch in zip(found.H, found.epochs, strict=True):
        head = layer_head(load_at(PLAN, tmp_path / "networks", epoch), "alexnet", "fc1", 64)
        seeds = [image_seed(name, 0) for name in measured.ids]
        own = pixel_entropy(head.eval(), pictures, preset("fast", "alexnet"), seeds, CPU)
        assert torch.equal(H, own.H)
    assert not torch.equal(found.H[0], found.H[1])
    store = open_store(tmp_path / "maps" / f"{PLAN.maps('fc1')}.zarr")
    assert store["H"].shape == (6, 16, 16)
    assert store.verify() == []


def test_a_data_sets_own_classes_select_the_images(images: Store, tmp_path: Path):
    about = ABOUT.model_copy(update={"dataset_classes": {"objects": ("class1",)}})
    map_networks([PLAN], images, about, tmp_path / "networks", tmp_path / "maps", CPU)
    assert read_maps(PLAN, "fc1", tmp_path / "maps").ids == ["i1", "i4", "i10"]


@pytest.mark.long
def test_an_interrupted_search_resumes_at_the_next_checkpoint(
    images: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    search(images, tmp_path, "whole")
    whole_search, seen = maps._search, []

    def torn(*args):
        seen.append(args[2])
        if len(seen) == 2:
            raise KeyboardInterrupt
        return whole_search(*args)

    monkeypatch.setattr(maps, "_search", torn)
    with pytest.raises(KeyboardInterrupt):
        search(images, tmp_path)
    with pytest.raises(StoreError, match="unfinished"):
        read_maps(PLAN, "fc1", tmp_path / "maps")
    search(images, tmp_path)
    assert seen == [0, 2, 2]
    found, whole = (read_maps(PLAN, "fc1", tmp_path / name) for name in ("maps", "whole"))
    assert torch.equal(found.H, whole.H)
    assert found.digest == whole.digest


def test_an_image_that_was_skipped_has_no_map(
    images: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def second_is_dead(head, pictures, settings, seeds, device) -> EntropyResult:
        H = torch.full((3, 16, 16), -2.8)
        H[1] = torch.nan
        dead = torch.tensor([False, True, False])
        return EntropyResult(H, H[:, 0, 0], torch.ones(3), dead, torch.full((3,), 10))

    monkeypatch.setattr(maps, "pixel_entropy", second_is_dead)
    search(images, tmp_path)
    H = read_maps(PLAN, "fc1", tmp_path / "maps").H
    assert H.isnan().all((2, 3)).tolist() == [[False, True, False]] * 2
    assert (H[:, [0, 2]] == np.float32(-2.8)).all()


def test_measured_pictures_show_object_and_background(make_images: Callable[..., Store]):
    images = make_images()
    measured = measured_pictures(images, (), 5)
    assert measured.ids == [
        "i1",
        "i2",
        "i3",
        "i4",
        "i5",
    ]  # i0 has no mask; i6 to i8 are test pictures
    for row, cells in zip(measured.rows, measured.foreground, strict=True):
        mask = images["foreground"][int(row)]
        np.testing.assert_array_equal(cells.numpy(), plain.cells(mask, 16))
    assert measured_pictures(images, ("class1",), 3).ids == ["i1", "i4", "i10"]


def test_data_without_a_foreground_is_refused_with_the_reason(make_images: Callable[..., Store]):
    with pytest.raises(ImageError, match=r"no picture has a mask .*cannot be told from"):
        measured_pictures(make_images(masked=False), (), 5)
    with pytest.raises(ImageError, match=r"of 23 training pictures with a mask none shows both"):
        measured_pictures(make_images("full", front="all"), (), 5)
