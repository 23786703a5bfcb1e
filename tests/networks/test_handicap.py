"""Networks without colour, with fewer pictures, without classes: what they see and what not."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from kc.errors import NetworkError, SettingsError
from kc.images import normalise
from kc.networks import build, load_network, record, split
from kc.networks.handicap import grey, handicapped, seen_in_test, seen_in_training
from kc.networks.tap import nodes
from kc.plans.handicaps import fewer, handicap_of, without
from kc.plans.products import NetworkPlan, batches
from kc.settings.recipes import Distillation, Network, Recipe, Retraining
from kc.steps.networks import Training, train_networks
from kc.store import ArraySpec, StoreContent, StoreWriter, open_store

NARROW = Network(width=0.0625, head_units=16, small_input=True)
PLAN = NetworkPlan("birds", "resnet18", 0)
CPU = torch.device("cpu")


def pictures(n=6, side=64):
    return np.random.default_rng(0).integers(0, 256, (n, 3, side, side), dtype=np.uint8)


def without_colour(some):
    """Return the grey versions of pictures as Pillow makes them."""
    each = [np.asarray(Image.fromarray(one.transpose(1, 2, 0)).convert("L")) for one in some]
    return np.repeat(np.stack(each)[:, None], 3, axis=1)


def tensors(some):
    return normalise(torch.from_numpy(some))


def rows(images=40, classes=4):
    labels = np.arange(images) % classes
    frame = pd.DataFrame({"image_id": [f"i{k}" for k in range(images)], "label": labels})
    frame["class_name"] = [f"class {label}" for label in labels]
    frame["subset"] = np.where(np.arange(images) % 10 < 6, "train", "test")
    return frame


def test_grey_is_pillows_to_the_bit_also_of_every_colour_of_a_grid():
    levels = np.arange(0, 256, 5, dtype=np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels), 0).reshape(1, 3, len(levels), -1)
    for some in (pictures(), grid):
        assert torch.equal(grey(tensors(some)), tensors(without_colour(some)))


@pytest.mark.parametrize(
    ("architecture", "node"),
    [("resnet18", "layer3.1.add"), ("alexnet", "features.10")],
)
def test_a_grey_network_gives_the_same_bits_for_a_picture_and_its_grey_version(architecture, node):
    colour, plain = tensors(pictures()), tensors(without_colour(pictures()))
    full = build(architecture, 3, NARROW, seed=1)
    before = nodes(full)
    seen = record(full, [node], plain)[node]
    blind = handicapped(build(architecture, 3, NARROW, seed=1), "grey")
    assert nodes(blind) == before
    assert list(blind.state_dict()) == list(full.state_dict())
    assert torch.equal(record(blind, [node], colour)[node], record(blind, [node], plain)[node])
    # what it sees is the grey picture, and the full network sees more
    assert torch.equal(record(blind, [node], colour)[node], seen)
    assert not torch.equal(record(full, [node], colour)[node], seen)
    head, tail = split(blind, node, colour)
    assert torch.equal(tail(head(colour)), blind(plain))


def trained(tmp_path, *handicaps):
    about = rows()
    spec = ArraySpec("image", ("image", "channel", "y", "x"), (40, 3, 32, 32), "uint8")
    with StoreWriter(tmp_path / "images.zarr", "k", StoreContent([spec], about, 40)) as writer:
        writer.write(0, {"image": pictures(40, 32)})
        writer.finish()
    recipe = Recipe(epochs=2, batch_size=8, learning_rate=0.01)
    training = Training(NARROW, recipe, Retraining(), Distillation())
    plans = [replace(PLAN, handicap=handicap) for handicap in handicaps]
    train_networks(plans, open_store(tmp_path / "images.zarr"), training, tmp_path, CPU)
    folders = [tmp_path / plan.name for plan in plans]
    cards = [json.loads((folder / "card.json").read_text()) for folder in folders]
    return list(zip(map(load_network, folders), cards, strict=True))


def test_trained_networks_keep_their_handicap_when_they_are_loaded(tmp_path):
    (full, _), (blind, card), (few, about), (lacking, of) = trained(
        tmp_path, "", "grey", "fewer50", "without2"
    )
    colour, plain = tensors(pictures(4, 32)), tensors(without_colour(pictures(4, 32)))
    assert torch.equal(blind(colour), blind(plain))
    assert not torch.equal(full(colour), full(plain))
    assert not torch.equal(few(colour), few(plain))
    assert (card["handicap"], card["images"], card["epochs"]) == ("grey", 24, 2)
    # half the pictures for as many steps
    assert (about["images"], about["epochs"]) == (12, 4)
    assert (of["images"], of["classes"]) == (12, 4)
    assert not torch.equal(lacking(colour), full(colour))


def test_the_accuracy_of_a_network_without_classes_is_that_on_the_others():
    found = seen_in_test(rows(), replace(PLAN, handicap="without3"))
    assert set(rows()["label"][found]) == {3}
    assert set(rows()["subset"][found]) == {"test"}
    assert len(seen_in_test(rows(), PLAN)) == 16


def test_the_placebo_draws_a_share_of_each_class_by_its_seed():
    about = rows(80)
    train = np.flatnonzero(about["subset"] == "train")
    draws = [
        seen_in_training(about, train, replace(PLAN, seed=seed, handicap="fewer25"))
        for seed in (0, 0, 1)
    ]
    assert about["label"][draws[0]].value_counts().tolist() == [3, 3, 3, 3]
    assert set(draws[0]) < set(train)
    assert np.array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])
    assert np.array_equal(seen_in_training(about, train, PLAN), train)


def test_too_few_classes_left_is_one_clear_error():
    plan = replace(PLAN, handicap="without3")
    with pytest.raises(
        NetworkError, match=r"^birds-resnet18-seed0-without3: 3 of 4 classes .*Fix: .*left_out$"
    ):
        seen_in_training(rows(), np.arange(40), plan)


def test_names_of_handicaps_are_read_as_they_are_written():
    assert handicap_of(fewer(0.333)) == ("fewer", 33.3)
    assert handicap_of(without(4)) == ("without", 4)
    assert handicap_of("") == ("none", 0)
    assert replace(PLAN, handicap="grey").name == "birds-resnet18-seed0-grey"
    for wrong in ("gray", "fewer", "fewer5x", "without4.5"):
        with pytest.raises(SettingsError, match=rf"^handicap '{wrong}': expected grey, .*Fix: "):
            handicap_of(wrong)


def test_handicapped_networks_have_a_job_of_their_own():
    some = [PLAN, replace(PLAN, seed=1), replace(PLAN, handicap="grey")]
    found = batches(some, "architecture")
    assert {name: len(each) for name, each in found.items()} == {
        "birds-resnet18": 2,
        "birds-resnet18-grey": 1,
    }
