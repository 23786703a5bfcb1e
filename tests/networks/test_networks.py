import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional as F
from torchvision import models

from kc.activations import open_store, record_networks
from kc.errors import DeviceError, NetworkError, StoreError
from kc.images import normalise
from kc.names import LAYER_NODES
from kc.networks import build, load_network, record, split
from kc.networks import train as train_module
from kc.networks.prune import removed_share
from kc.plans.products import NetworkPlan
from kc.runtime import pick_device, use_threads
from kc.settings.feature_maps import Activations
from kc.settings.recipes import Distillation, Network, Recipe, Retraining
from kc.steps import networks as products
from kc.steps.networks import Training, half_rows, train_networks
from kc.store import ArraySpec, StoreContent, StoreWriter

NARROW = Network(width=0.0625, head_units=16, dropout=0.5, small_input=True)
CPU = torch.device("cpu")
RECIPE = Recipe(epochs=4, batch_size=8, learning_rate=0.01, checkpoint_epochs=1)


def example(n=2):
    return torch.rand(n, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def images(tmp_path):
    rows = pd.DataFrame({"image_id": [f"i{i}" for i in range(40)], "label": np.arange(40) % 4})
    rows["class_name"] = [f"class {label}" for label in rows["label"]]
    rows["superclass"] = np.where(rows["label"] < 2, "bird", "dog")
    rows["subset"] = np.where(np.arange(40) % 10 < 6, "train", "test")
    pixels = np.random.default_rng(0).integers(0, 255, (40, 3, 64, 64), dtype=np.uint8)
    pixels[np.arange(40), 0] = (rows["label"].to_numpy() * 60)[:, None, None]
    spec = ArraySpec("image", ("image", "channel", "y", "x"), pixels.shape, "uint8")
    with StoreWriter(tmp_path / "images.zarr", "k", StoreContent([spec], rows, 16)) as writer:
        for shard in writer.missing():
            writer.write(shard, {"image": pixels[writer.rows(shard)]})
        writer.finish()
    return open_store(tmp_path / "images.zarr")


@pytest.mark.parametrize(
    ("architecture", "node"),
    [
        (architecture, node)
        for architecture, layers in LAYER_NODES.items()
        for node in layers.values()
        if architecture not in ("resnet101", "resnet152")
    ],
)
def test_tail_of_head_is_the_model_bit_for_bit(architecture, node):
    model = build(architecture, 5, NARROW, seed=1)
    head, tail = split(model, node, example())
    feature = head(example())
    assert torch.equal(tail(feature), model(example()))
    assert torch.equal(feature, record(model, [node], example())[node])
    assert not torch.equal(tail(feature + 1), model(example()))


def test_in_place_relus_would_overwrite_a_tapped_feature():
    plain = models.alexnet(num_classes=3).eval()
    ours = build("alexnet", 3, Network(), seed=0)
    both = ["features.8", "features.10"]
    assert record(plain, both, example())["features.8"].min() == 0
    assert record(ours, both, example())["features.8"].min() < 0


def test_a_node_that_paths_lead_around_is_refused():
    with pytest.raises(NetworkError, match=r"'layer3.0.conv1' does not cut the network"):
        split(build("resnet18", 3, NARROW, 0), "layer3.0.conv1", example())


def test_an_unknown_node_names_its_neighbours():
    with pytest.raises(NetworkError, match=r"unknown node 'features.300'; nearest: features.30"):
        record(build("vgg16_bn", 3, NARROW, 0), ["features.300"], example())


def test_an_unknown_network_names_its_neighbour():
    with pytest.raises(NetworkError, match="unknown network 'resnet43', did you mean 'resnet34'"):
        build("resnet43", 3, NARROW, 0)


def test_weights_follow_the_seed_and_leave_the_global_generator_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again, other = (build("resnet18", 3, NARROW, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    for a, b, c in zip(first.parameters(), again.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
        assert a.ndim < 2 or not torch.equal(a, c)


def test_halves_are_disjoint_complete_and_balanced_by_class(images):
    a, b, c = (half_rows(images.rows, half) for half in ("0a", "0b", "1a"))
    train = np.flatnonzero(images.rows["subset"] == "train")
    assert set(a).isdisjoint(b)
    assert sorted([*a, *b]) == list(train)
    assert not np.array_equal(a, c)
    counts = images.rows.loc[a, "label"].value_counts()
    assert counts.max() - counts.min() <= 1


FRAME = pd.DataFrame({"epoch": [1]})


def plan(seed):
    return NetworkPlan("birds", "resnet18", seed)


def training(recipe=RECIPE):
    retraining = Retraining(epochs=2, learning_rate=0.005)
    return Training(NARROW, recipe, retraining, Distillation())


def train(images, out, seeds=(0,), recipe=RECIPE):
    train_networks([plan(s) for s in seeds], images, training(recipe), out, CPU)


def weights(out, seed=0):
    return (out / plan(seed).name / "weights.safetensors").read_bytes()


def test_same_seed_same_bits_other_seed_other_bits(images, tmp_path):
    train(images, tmp_path / "a", (0, 1))
    train(images, tmp_path / "b")
    assert weights(tmp_path / "a") == weights(tmp_path / "b")
    assert weights(tmp_path / "a") != weights(tmp_path / "a", 1)


def test_interrupted_training_gives_the_same_bits_as_uninterrupted(images, tmp_path, monkeypatch):
    train(images, tmp_path / "whole")
    whole_epoch = train_module._epoch

    def killed(*arguments):
        if arguments[4] == 2:
            raise KeyboardInterrupt
        return whole_epoch(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(train_module, "_epoch", killed)
        with pytest.raises(KeyboardInterrupt):
            train(images, tmp_path / "cut")
    started = []
    monkeypatch.setattr(train_module, "_epoch", lambda *a: started.append(a[4]) or whole_epoch(*a))
    train(images, tmp_path / "cut")
    assert started == [2, 3]
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")


def test_a_trained_network_is_kept_until_its_recipe_changes(images, tmp_path, monkeypatch):
    train(images, tmp_path)
    first = weights(tmp_path)
    (tmp_path / plan(0).name / "card.json").unlink()
    monkeypatch.setattr(products, "train_network", lambda *_: pytest.fail("trained again"))
    train(images, tmp_path)
    assert (tmp_path / plan(0).name / "card.json").is_file()
    monkeypatch.undo()
    train(images, tmp_path, recipe=RECIPE.model_copy(update={"epochs": 1}))
    assert weights(tmp_path) != first


def made(images, out, *plans, **changes):
    train_networks(plans, images, training()._replace(**changes), out, CPU)
    return [load_network(out / each.name) for each in plans]


def test_a_pruned_network_starts_from_the_unpruned_one_and_keeps_its_zeros(images, tmp_path):
    whole, pruned = made(images, tmp_path, plan(0), replace(plan(0), removed=0.8))
    assert removed_share(whole) < 0.01
    assert removed_share(pruned) == pytest.approx(0.8, abs=1e-3)
    card = json.loads((tmp_path / replace(plan(0), removed=0.8).name / "card.json").read_text())
    assert card["removed_share"] == removed_share(pruned)
    assert card["epochs"] == 2
    # the remaining weights were trained, not kept
    left = pruned.conv1.weight != 0
    assert not torch.equal(pruned.conv1.weight[left], whole.conv1.weight[left])


def test_only_networks_that_start_from_pretrained_weights_load_them(images, tmp_path, monkeypatch):
    # as torchvision's file in torch's cache, of other classes
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    ready = build("resnet18", 7, NARROW, seed=9)
    (tmp_path / "checkpoints").mkdir()
    torch.save(ready.state_dict(), tmp_path / "checkpoints" / "resnet18-f37072fd.pth")
    begun = {}
    monkeypatch.setattr(
        products, "train_network", lambda model, *args: begun.update({args[3]: model}) or FRAME
    )
    tuned = [replace(plan(seed), weights="pretrained") for seed in (0, 1)]
    made(images, tmp_path / "out", plan(0), *tuned)
    scratch, one, other = (begun[each.name] for each in (plan(0), *tuned))
    body = [name for name in ready.state_dict() if name.endswith(("conv1.weight", "conv2.weight"))]
    for name in body:
        assert torch.equal(one.state_dict()[name], ready.state_dict()[name])
        assert torch.equal(one.state_dict()[name], other.state_dict()[name])
        assert not torch.equal(scratch.state_dict()[name], ready.state_dict()[name])
    # seeds differ in the new last layer
    assert not torch.equal(one.fc.weight, other.fc.weight)
    cards = [
        json.loads((tmp_path / "out" / each.name / "card.json").read_text())
        for each in (plan(0), tuned[0])
    ]
    assert "pretrained" not in cards[0]
    assert cards[1]["pretrained"]["file"].endswith("resnet18-f37072fd.pth")
    assert [card["weights"] for card in cards] == ["scratch", "pretrained"]


def test_a_pruned_network_without_the_unpruned_one_is_refused(images, tmp_path):
    with pytest.raises(NetworkError, match=r"the network to start from.*is missing"):
        made(images, tmp_path, replace(plan(0), removed=0.8))


@pytest.mark.long
def test_another_unpruned_network_gives_another_pruned_one(images, tmp_path):
    pruned = replace(plan(0), removed=0.5)
    made(images, tmp_path, plan(0), pruned)
    before = json.loads((tmp_path / pruned.name / "card.json").read_text())["key"]
    recipe = RECIPE.model_copy(update={"epochs": 3})
    made(images, tmp_path, plan(0), pruned, recipe=recipe)
    assert json.loads((tmp_path / pruned.name / "card.json").read_text())["key"] != before


def test_each_generation_is_taught_by_the_one_before(images, tmp_path):
    first, second, third = (replace(plan(0), generation=number) for number in (1, 2, 3))
    assert third.origin == second
    assert first.origin is None
    _, taught, _ = made(images, tmp_path / "a", first, second, third)
    _, alone = made(images, tmp_path / "b", first, second, distillation=Distillation(weight=0))
    assert not torch.equal(taught.fc.weight, alone.fc.weight)
    card = json.loads((tmp_path / "a" / third.name / "card.json").read_text())
    assert card["origin"] == second.name


def first_weights(monkeypatch):
    """Note the weights that each network starts from, by its name."""
    found, whole = {}, products.train_network

    def noting(model, pictures, hyper, folder, name, teacher):
        found[name] = {key: value.clone() for key, value in model.state_dict().items()}
        return whole(model, pictures, hyper, folder, name, teacher)

    monkeypatch.setattr(products, "train_network", noting)
    return found


def test_a_network_may_start_from_the_first_weights_of_another_half(images, tmp_path, monkeypatch):
    a, b = (replace(plan(0), half=half) for half in ("0a", "0b"))
    again = replace(b, start="0a")
    assert (again.name, again.first_weights) == (f"{b.name}-start0a", a.name)
    found = first_weights(monkeypatch)
    networks = made(images, tmp_path, a, b, again)
    starts = [found[one.name]["conv1.weight"] for one in (a, b, again)]
    assert torch.equal(starts[2], starts[0])
    assert not torch.equal(starts[2], starts[1])
    trained = [network.conv1.weight for network in networks]
    assert not torch.equal(trained[2], trained[0])
    assert not torch.equal(trained[2], trained[1])
    assert replace(plan(0), half="0b", start="3").first_weights == plan(3).name


def test_an_untrained_network_keeps_the_first_weights_of_the_trained_one(
    images, tmp_path, monkeypatch
):
    random = replace(plan(0), trained=False)
    assert random.name == f"{plan(0).name}-untrained"
    found = first_weights(monkeypatch)
    network, _ = made(images, tmp_path, random, plan(0))
    start = found[plan(0).name]
    assert all(torch.equal(value, start[key]) for key, value in network.state_dict().items())
    card = json.loads((tmp_path / random.name / "card.json").read_text())
    assert (card["epochs"], card["trained"]) == (0, False)
    history = pd.read_csv(tmp_path / random.name / "history.csv")
    assert (len(history), history.columns[0]) == (0, "epoch")


def test_a_network_of_superclasses_has_one_logit_per_superclass(images, tmp_path):
    (network,) = made(images, tmp_path, replace(plan(0), task="superclass"))
    assert network.fc.out_features == 2
    card = json.loads(
        (tmp_path / replace(plan(0), task="superclass").name / "card.json").read_text()
    )
    assert card["heads"] == [["bird", "dog"]]


def test_a_network_of_both_tasks_has_a_head_for_each(images, tmp_path):
    recipe = RECIPE.model_copy(update={"epochs": 12})
    (network,) = made(images, tmp_path, replace(plan(0), task="both"), recipe=recipe)
    assert network.fc.out_features == 4 + 2
    card = json.loads((tmp_path / replace(plan(0), task="both").name / "card.json").read_text())
    assert [len(names) for names in card["heads"]] == [4, 2]
    classes, superclasses = card["accuracy_by_head"]["train"]
    # chance is 25 and 50 %: both heads have learnt
    assert classes > 60
    assert superclasses > 75
    assert card["accuracy"]["train"] == classes


def test_a_single_superclass_is_refused(images, tmp_path):
    images.rows["superclass"] = "bird"
    with pytest.raises(NetworkError, match=r"classify superclasses.*Fix"):
        made(images, tmp_path, replace(plan(0), task="superclass"))


def test_damaged_weights_are_refused(images, tmp_path):
    train(images, tmp_path)
    folder = tmp_path / plan(0).name
    load_network(folder)
    (folder / "weights.safetensors").write_bytes(b"x")
    with pytest.raises(StoreError, match=r"not those of card\.json"):
        load_network(folder)


def test_diverged_training_is_an_error(images, tmp_path):
    with pytest.raises(NetworkError, match=r"diverged.*learning_rate"):
        train(images, tmp_path, recipe=RECIPE.model_copy(update={"learning_rate": 1e30}))


def test_a_missing_gpu_is_an_error():
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(DeviceError, match="sees no GPU"):
        pick_device("cuda")


@pytest.mark.parametrize("name", ["tpu", "gpu", "meta", "", "cuda:x", "cpu:0", "cuda:-1"])
def test_a_device_kc_does_not_compute_on_is_refused(name):
    with pytest.raises(DeviceError, match=f"device: '{name}'; expected auto, cpu, cuda or, with"):
        pick_device(name)


def test_a_device_without_float64_is_refused_with_the_reason():
    with pytest.raises(DeviceError, match=r"'mps': Apple's GPU has no float64, .* Fix: cpu, which"):
        pick_device("mps")


def test_one_of_several_gpus_is_chosen_by_its_number(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [pick_device(name).index for name in ("cuda", "cuda:0", "cuda:1")] == [None, 0, 1]
    with pytest.raises(DeviceError, match=r"'cuda:2' was asked for; there are cuda:0, cuda:1\. Fi"):
        pick_device("cuda:2")


@pytest.mark.parametrize("threads", [0, -1, 3])
def test_more_threads_than_cores_are_refused(threads, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 7})
    with pytest.raises(DeviceError, match=rf"threads: {threads} were .*may use 2 cores\. Fix"):
        use_threads(threads)


def test_recorded_features_are_those_of_a_hook_on_the_module(images, tmp_path):
    train(images, tmp_path / "networks")
    folder = tmp_path / "networks" / plan(0).name
    settings = Activations(dtype="float32", shard_rows=16, batch_size=8)
    for out in (Path("a"), Path("b")):
        record_networks(
            {"n": folder}, ["layer3.1.add", "layer2.1.add"], images, settings, tmp_path / out, CPU
        )
    stored = open_store(tmp_path / "a" / "n.json")
    again = open_store(tmp_path / "b" / "n.json")
    assert stored.digest == again.digest
    model, seen = load_network(folder), []
    model.layer3.register_forward_hook(lambda _, __, result: seen.append(result.clone()))
    with torch.inference_mode():
        model(normalise(torch.from_numpy(images["image"][:])))
    feature = torch.from_numpy(stored["layer3.1.add"][:])
    torch.testing.assert_close(F.relu(feature), seen[0], rtol=1e-4, atol=1e-5)
    assert feature.min() < 0
    assert stored["layer2.1.add"].shape[2:] == (8, 8)
