"""fit_pairs from stores to files: what is written, resumed, made again, and kept."""

import json
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from kc.consistency import fit_product, optimise, products
from kc.consistency.saved import load_fit
from kc.errors import FeatureError, StoreError
from kc.plans.products import FitPlan, NetworkPlan
from kc.settings.reconstruction import Consistency, Optimiser
from kc.store import ArraySpec, StoreContent, StoreWriter, open_store
from kc.store.part import Destination

CPU = torch.device("cpu")
A, B = (NetworkPlan("birds", "alexnet", seed) for seed in (0, 1))
PLANS = [
    FitPlan(A, B, "conv4", "conv4", "all", keep=True),
    FitPlan(A, B, "conv4", "conv4", "half"),
    FitPlan(B, A, "conv4", "conv4"),
]
SETTINGS = Consistency(optimiser=Optimiser(epochs=2))


def write_store(path, values, rows):
    spec = ArraySpec(
        "features.8", ("image", "channel", "y", "x"), values.shape, "float16", statistics=True
    )
    with StoreWriter(path, path.name, StoreContent([spec], rows, 32)) as writer:
        for number in writer.missing():
            writer.write(number, {"features.8": values[writer.rows(number)]})
        writer.finish()


@pytest.fixture
def stores(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 4, 3, 3))
    y = 1 + 2 * x[:, ::-1] + rng.normal(size=x.shape)
    rows = pd.DataFrame({"image_id": [f"{n:03d}.jpg" for n in range(120)]})
    rows["subset"] = np.where(rng.random(120) < 0.6, "train", "test")
    for name, values in ((A.name, x), (B.name, y)):
        write_store(tmp_path / "activations" / f"{name}.zarr", values.astype(np.float16), rows)
    return {n.name: tmp_path / "activations" / f"{n.name}.json" for n in (A, B)}


def run(stores, tmp_path, settings=SETTINGS, seed=0, plans=PLANS):
    products.fit_pairs(plans, stores, settings, seed, tmp_path, CPU)


@pytest.fixture
def counted(monkeypatch):
    """Count the fits that are made."""
    made, fit = [], fit_product.fit_pair

    def fitting(pair, settings, run):
        made.append(run.seed)
        return fit(pair, settings, run)

    monkeypatch.setattr(fit_product, "fit_pair", fitting)
    return made


def features(stores):
    return [open_store(stores[n.name])["features.8"][:].astype(np.float32) for n in (A, B)]


def test_files_agree_with_the_fit_and_with_each_other(stores, tmp_path):
    run(stores, tmp_path)
    folder = tmp_path / "fits" / PLANS[0].name
    names = {"key.json", "lock", "g.safetensors", "history.csv", "result.json", "card.json"}
    assert {path.name for path in folder.iterdir()} == names | {
        "variances.csv",
        "variances_channels.csv",
    }
    card = json.loads((folder / "card.json").read_text())
    rows = open_store(stores[B.name]).rows
    train, test = (np.flatnonzero(rows["subset"] == s) for s in ("train", "test"))
    result, (x, y) = load_fit(folder), features(stores)
    table = pd.read_csv(folder / "variances.csv").set_index(["subset", "component"])
    channels = pd.read_csv(folder / "variances_channels.csv")
    for subset, members in (("train", train), ("test", test)):
        for centring, column in (
            ("layer", "variance"),
            ("channel", "variance_released_centring"),
        ):
            expected = result.variances(x, y, members, centring)
            np.testing.assert_allclose(table.loc[subset][column], expected, rtol=1e-5, atol=1e-9)
        mean = channels[channels["subset"] == subset].groupby("component")["variance"].mean()
        centred = table.loc[subset]["variance_released_centring"]
        assert mean["xdelta"] == pytest.approx(centred["xdelta"])
        share = result.instability(x, y, members)
        assert card["share_delta"][subset] == pytest.approx(share, rel=1e-5)
    assert np.array_equal(result.train, train)
    assert card["rows"] == {"train": len(train), "validation": len(result.validation)}
    assert card["positions_per_weight"] == pytest.approx(len(train) * 9 / (9 * 4))
    assert card["chosen"]["validation_mse"] == pytest.approx(result.history["validation_mse"].min())
    assert card["penalty"] == 0.001
    assert (card["settled"], card["centring"], card["gain"]) == ("no", "layer", "free")
    assert card["resized"] is False


def test_components_of_the_test_images_are_kept_where_the_plan_says(stores, tmp_path):
    run(stores, tmp_path)
    kept = tmp_path / "components"
    assert {path.stem for path in kept.glob("*.zarr")} == {PLANS[0].name}
    store = open_store(kept / f"{PLANS[0].name}.zarr")
    rows = open_store(stores[B.name]).rows
    test = np.flatnonzero(rows["subset"] == "test")
    assert list(store.rows["image_id"]) == list(rows["image_id"][test])
    parts = load_fit(tmp_path / "fits" / PLANS[0].name).decompose(*features(stores), test)
    expected = torch.cat([parts.components, parts.delta[None]])
    assert store["component"].shape == (4, len(test), 4, 3, 3)
    np.testing.assert_allclose(store["component"][:], expected.numpy(), atol=5e-3)
    assert store.attributes["component"] == ["x0", "x1", "x2", "xdelta"]


def test_a_half_fit_sees_half_the_images_and_the_same_validation_images(stores, tmp_path):
    run(stores, tmp_path)
    full, half = (load_fit(tmp_path / "fits" / plan.name) for plan in PLANS[:2])
    assert np.array_equal(half.validation, full.validation)
    fitted, fewer = (np.setdiff1d(one.train, one.validation) for one in (full, half))
    assert set(fewer) < set(fitted)
    assert len(fewer) == len(fitted) // 2
    # its own units, from its own images
    assert half.normalisation.target_mean != full.normalisation.target_mean
    assert half.about.seed == full.about.seed


def test_too_few_images_for_half_of_them_are_one_error(tmp_path):
    values = np.random.default_rng(0).normal(size=(12, 4, 3, 3)).astype(np.float16)
    rows = pd.DataFrame({"image_id": [f"{n}.jpg" for n in range(12)]})
    rows["subset"] = np.where(np.arange(12) < 9, "train", "test")
    for name in (A.name, B.name):
        write_store(tmp_path / "activations" / f"{name}.zarr", values, rows)
    few = {n.name: tmp_path / "activations" / f"{n.name}.json" for n in (A, B)}
    run(few, tmp_path, plans=PLANS[:1])
    with pytest.raises(FeatureError, match=r"5 training images are too few to fit g: 2 are .*Fix"):
        run(few, tmp_path, plans=PLANS[1:2])


def test_a_second_run_makes_nothing_and_an_interrupted_one_resumes(stores, tmp_path, counted):
    run(stores, tmp_path)
    assert len(counted) == 3
    run(stores, tmp_path)
    assert len(counted) == 3
    folder = tmp_path / "fits" / PLANS[2].name
    card = (folder / "card.json").read_bytes()
    (folder / "card.json").unlink()  # as Snakemake does before it runs a job again
    run(stores, tmp_path)
    assert len(counted) == 3
    assert (folder / "card.json").read_bytes() == card
    (folder / "result.json").unlink()  # as after an interruption before the end
    run(stores, tmp_path)
    assert len(counted) == 4


def test_damaged_weights_are_made_again_and_refused_by_load(stores, tmp_path, counted):
    run(stores, tmp_path)
    path = tmp_path / "fits" / PLANS[2].name / "g.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(StoreError, match=r"g.safetensors missing or not those of card"):
        load_fit(path.parent)
    run(stores, tmp_path)
    assert len(counted) == 4
    assert path.read_bytes() == whole


@pytest.mark.parametrize("part", ["component/c/0/0/0/0/0", "subset/c/0", "component/zarr.json"])
def test_damaged_components_are_made_again_from_the_fit(stores, tmp_path, counted, part):
    run(stores, tmp_path)
    path = tmp_path / "components" / f"{PLANS[0].name}.zarr"
    whole = (path / part).read_bytes()
    (path / part).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(StoreError, match=r"Fix: snakemake --cores 1 --force .*conv4\.json"):
        open_store(path)["component"].read(slice(0, 1))
    run(stores, tmp_path)
    assert len(counted) == 3
    assert (path / part).read_bytes() == whole
    assert open_store(path).verify() == []


def test_a_changed_penalty_needs_a_new_fit_and_components_do_not(stores, tmp_path, counted):
    run(stores, tmp_path)
    kept_all = SETTINGS.model_copy(update={"components": "all", "memory_gb": 1.0})
    run(stores, tmp_path, kept_all)
    assert len(counted) == 3
    store = open_store(tmp_path / "components" / f"{PLANS[0].name}.zarr")
    assert len(store.rows) == 120
    run(stores, tmp_path, SETTINGS.model_copy(update={"penalty": 0.2}))
    assert len(counted) == 6
    card = json.loads((tmp_path / "fits" / PLANS[0].name / "card.json").read_text())
    assert card["penalty"] == 0.2


def test_the_same_seed_gives_the_same_bytes_also_when_streaming(stores, tmp_path):
    run(stores, tmp_path / "one")
    run(stores, tmp_path / "two", SETTINGS.model_copy(update={"memory_gb": 1e-9}))
    run(stores, tmp_path / "three", seed=1)
    for plan in PLANS:
        for name in ("g.safetensors", "history.csv", "variances.csv"):
            texts = [
                (tmp_path / n / "fits" / plan.name / name).read_bytes()
                for n in ("one", "two", "three")
            ]
            assert texts[0] == texts[1]
            assert texts[0] != texts[2]


def test_raw_penalties_are_those_of_the_paper(stores, tmp_path):
    _, y = features(stores)
    train = open_store(stores[B.name]).rows["subset"] == "train"
    plans = [PLANS[0]]
    run(stores, tmp_path, SETTINGS.model_copy(update={"penalty": "raw_equivalent"}), plans=plans)
    result = load_fit(tmp_path / "fits" / PLANS[0].name)
    assert result.about.penalty == pytest.approx(8.0 / y[train].astype(np.float64).var(), rel=1e-6)
    # only the plan names the networks of the stores
    vgg_a, vgg_b = (replace(network, architecture="vgg16_bn") for network in (A, B))
    vgg = FitPlan(vgg_a, vgg_b, "features.8", "features.8")
    opened = {name: open_store(path) for name, path in stores.items()}
    opened |= {vgg_a.name: opened[A.name], vgg_b.name: opened[B.name]}
    layers = products.HeldLayers(opened, 1.0)
    for plan, expected in ((PLANS[0], 8.0), (vgg, 0.1)):
        about = (Consistency(preset="released"), 0, Destination(tmp_path), CPU)
        assert products.product_of(plan, layers, *about).settings.penalty == expected


def test_stores_of_other_images_are_refused(stores, tmp_path):
    store = open_store(stores[B.name])
    rows = store.rows.copy()
    rows.loc[[5, 6], "image_id"] = rows.loc[[6, 5], "image_id"].to_numpy()
    values = store["features.8"][:]
    write_store(tmp_path / "other" / f"{B.name}.zarr", values, rows)
    swapped = stores | {B.name: tmp_path / "other" / f"{B.name}.json"}
    with pytest.raises(StoreError, match=r"005.jpg"):
        run(swapped, tmp_path)


@pytest.mark.parametrize("preset", ["paper", "released"])
def test_a_fit_interrupted_between_epochs_resumes_to_the_same_bytes(
    stores, tmp_path, monkeypatch, preset
):
    about = {"epochs": 5} if preset == "paper" else {"epochs": 2}
    settings = Consistency(preset=preset, optimiser=Optimiser.model_validate(about))
    # the package's attribute of that name is the function
    monkeypatch.setattr(sys.modules["kc.consistency.fit"], "EPOCHS", 5)
    monkeypatch.setattr("kc.consistency.resume.EVERY", 0.0)
    plans = [PLANS[0]]
    run(stores, tmp_path / "whole", settings, plans=plans)
    epochs, train_epoch = [], optimise.train_epoch

    def torn(net, task, recipe, epoch):
        epochs.append(epoch)
        if len(epochs) in (3, 5):
            raise KeyboardInterrupt
        return train_epoch(net, task, recipe, epoch)

    monkeypatch.setattr(optimise, "train_epoch", torn)
    folder = tmp_path / "torn" / "fits" / PLANS[0].name
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run(stores, tmp_path / "torn", settings, plans=plans)
        assert (folder / "state.safetensors").is_file()
    run(stores, tmp_path / "torn", settings, plans=plans)
    assert epochs == [0, 1, 2, 2, 3, 3, 4]
    whole = tmp_path / "whole" / "fits" / PLANS[0].name
    assert {path.name for path in folder.iterdir()} == {path.name for path in whole.iterdir()}
    for path in [*whole.glob("*.safetensors"), *whole.glob("*.csv")]:
        assert (folder / path.name).read_bytes() == path.read_bytes(), path.name
    # another penalty does not use this state, and a damaged state is not used
    state = folder / "state.safetensors"
    epochs[:] = [0]
    with pytest.raises(KeyboardInterrupt):
        run(stores, tmp_path / "torn", settings, seed=1, plans=plans)
    content = state.read_bytes()
    state.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    epochs[:] = [0] * 9
    run(stores, tmp_path / "torn", settings, seed=1, plans=plans)
    assert epochs[9:] == [0, 1, 2, 3, 4]
