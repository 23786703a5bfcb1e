"""Tails on stored features and on parts of g(x): identities on a small real pipeline."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from kc.consistency.decompose import Normalisation
from kc.consistency.net import ConsistencyNet
from kc.consistency.optimise import Entry
from kc.consistency.result import FitAbout, FitResult
from kc.errors import StoreError
from kc.images import normalise, open_images
from kc.networks import load_network
from kc.networks.tails import HeldFeatures, TailRecipe, predictions, train_tail
from kc.plans.products import FitPlan, NetworkPlan
from kc.plans.studies import plan_of
from kc.runtime import derive_seed
from kc.settings.recipes import Refine, Tails
from kc.settings.whole import Settings
from kc.store import ArraySpec, StoreContent, StoreWriter, open_store
from kc.studies import reading
from kc.studies.features import Bench, PartialSums, StoredRows, TappedLayer, sum_name
from kc.studies.fits import read_network_card
from kc.studies.reading import Readings, train_and_test
from tests.studies.conftest import SELF, A, B

PAIR = FitPlan(A, B, "conv5", "conv5")
STRONG = NetworkPlan("mix", "resnet18", 0)
ENDS = [(A, "features.10"), (B, "features.10"), (STRONG, "layer3.1.add")]
STILL = Refine(epochs=1, first_rate=1e-12, last_rate=1e-12, weight_decay=0)
"""Changes no bit of a tail without batch norm."""
DOG_CLASSES = [3, 4]


@pytest.fixture
def bench(tiny: Settings) -> Bench:
    return Bench(tiny)


def changed(settings: Settings, recipe: TailRecipe | None = None, **consistency: object) -> Bench:
    tails = settings.tails if recipe is None else Tails(refine=recipe)
    about = settings.consistency.model_copy(update=consistency)
    return Bench(settings.model_copy(update={"tails": tails, "consistency": about}))


def whole(array) -> Tensor:
    return torch.from_numpy(np.asarray(array[:]))


def logits(settings: Settings, network: NetworkPlan) -> Tensor:
    """Return the whole network's logits of all images, without any tap."""
    images = open_images(settings.results / "images" / "mix.json")
    model = load_network(settings.results / "networks" / network.name)
    with torch.no_grad():
        return model(normalise(torch.from_numpy(images["image"][:])))


def everything(some: StoredRows | PartialSums) -> Tensor:
    return some.batch(np.arange(len(some)))


def choices(scores: Tensor, rows: np.ndarray, classes: list[int] | None = None) -> np.ndarray:
    """Return the first choices of some images, out of some classes."""
    kept = list(range(scores.shape[1])) if classes is None else classes
    return np.asarray(kept)[scores[rows][:, kept].argmax(1).numpy()]


# tails


@pytest.mark.parametrize(("network", "node"), ENDS)
def test_the_untrained_tail_gives_the_networks_logits_bit_for_bit(tiny, bench, network, node):
    stored = whole(bench.store(network)[node])
    tail = bench.layer(network, node).tail
    with torch.no_grad():
        assert torch.equal(tail(stored), logits(tiny, network))
        # the counter-examples: features kept in less precision, another network's
        assert not torch.equal(tail(stored.half().float()), logits(tiny, network))
        assert not torch.allclose(tail(stored), logits(tiny, A if network != A else B))


@pytest.mark.parametrize("only", ["", "dog", "bird"])
def test_rows_features_and_labels_are_of_the_superclass_and_in_step(tiny, bench, only):
    table = open_images(tiny.results / "images" / "mix.json").rows
    stored = whole(bench.store(A)["features.10"])
    layer = bench.layer(A, "features.10", only)
    seen: list[int] = []
    for subset in ("train", "test"):
        rows = layer.rows[subset].rows
        wanted = [
            row
            for row, line in enumerate(table.itertuples())
            if line.subset == subset and only in ("", line.superclass)
        ]
        assert rows.tolist() == wanted
        assert layer.labels[subset].tolist() == table["label"][rows].tolist()
        assert torch.equal(everything(layer.rows[subset]), stored[rows])
        backwards = np.arange(len(rows))[::-1].copy()
        assert torch.equal(layer.rows[subset].batch(backwards), stored[rows[::-1].copy()])
        seen += wanted
    counts = {"": 100, "dog": 40, "bird": 60}
    assert len(set(seen)) == len(seen) == counts[only]


def test_an_unchanged_tail_classifies_as_its_network_does(tiny, bench):
    layer = bench.layer(B, "features.10")
    found = train_and_test(bench, layer.tail, bench.raw(layer), layer.labels, STILL)
    rows, labels = layer.rows["test"].rows, layer.labels["test"].numpy()
    right = choices(logits(tiny, B), rows) == labels
    assert found.tolist() == right.tolist()
    assert 0.2 < right.mean() < 1  # a network that always predicts one class would prove nothing
    card = read_network_card(B, tiny.results)
    assert card["accuracy"]["test"] == pytest.approx(100 * right.mean())
    other = bench.layer(A, "features.10")
    swapped = train_and_test(bench, other.tail, bench.raw(layer), layer.labels, STILL)
    assert swapped.tolist() != right.tolist()


def test_a_tail_for_a_superclass_chooses_among_its_classes_only(tiny, bench):
    layer = bench.layer(B, "features.10", "dog")
    found = train_and_test(bench, layer.tail, bench.raw(layer), layer.labels, STILL)
    rows, labels = layer.rows["test"].rows, layer.labels["test"].numpy()
    scores = logits(tiny, B)
    assert found.tolist() == (choices(scores, rows, DOG_CLASSES) == labels).tolist()
    unrestricted = choices(scores, rows) == labels
    assert found.sum() > unrestricted.sum()  # some dogs are classified as birds


def test_train_and_test_equals_training_a_tail_by_hand(tiny, bench):
    layer = bench.layer(A, "features.10")
    recipe = tiny.tails.refine
    train, test = (HeldFeatures(everything(layer.rows[name])) for name in ("train", "test"))
    seed = derive_seed("tail", tiny.tails.seed)
    tail = train_tail(layer.tail, train, layer.labels["train"], recipe, seed, bench.device).tail
    right = predictions(tail, test) == layer.labels["test"].numpy()
    found = train_and_test(bench, layer.tail, bench.raw(layer), layer.labels, recipe)
    assert found.tolist() == right.tolist()


def test_training_a_tail_leaves_the_networks_own_as_it_was(bench):
    layer = bench.layer(A, "features.10")
    before = {name: value.clone() for name, value in layer.tail.state_dict().items()}
    train_and_test(
        bench, layer.tail, bench.raw(layer), layer.labels, Refine(epochs=1, first_rate=0.1)
    )
    for name, value in layer.tail.state_dict().items():
        assert torch.equal(value, before[name])


# parts of g(x)


def parts_of(bench: Bench, plan: FitPlan) -> tuple[TappedLayer, TappedLayer, list[PartialSums]]:
    source = bench.layer(plan.source, plan.source_node)
    target = bench.layer(plan.target, plan.target_node)
    fit = bench.fit(plan)
    return source, target, [PartialSums(fit, source.rows["test"], k) for k in range(3)]


def diagnosed(settings: Settings) -> list[FitPlan]:
    """Return both fits of the first pair."""
    return [fits[0] for fits in plan_of(settings, "diagnosis").cases.values()]


def test_partial_sums_are_those_of_the_decomposition(tiny, bench):
    for plan in (PAIR, *diagnosed(tiny)):
        source, target, sums = parts_of(bench, plan)
        rows = source.rows["test"].rows
        x, y = source.rows["test"].array[:], target.rows["test"].array[:]
        parts = bench.fit(plan).decompose(x, y, rows)
        for k, some in enumerate(sums):
            expected = parts.components[: k + 1].sum(0)
            torch.testing.assert_close(everything(some), expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(everything(sums[0]), parts.components[0])
        # the counter-example: the orders above 0 are not zero
        assert (everything(sums[2]) - everything(sums[0])).abs().max() > 1e-3


def test_blind_spots_plus_the_reconstruction_are_the_target(tiny, bench):
    blind, unreliable = diagnosed(tiny)
    assert (blind.source, blind.target) == (unreliable.target, unreliable.source) == (A, STRONG)
    for plan in (blind, unreliable):
        source, target, sums = parts_of(bench, plan)
        rows = target.rows["test"].rows
        x, y = source.rows["test"].array[:], target.rows["test"].array[:]
        delta = bench.fit(plan).decompose(x, y, rows).delta
        x_b = everything(target.rows["test"])
        scale = float(x_b.abs().max())
        given = everything(sums[-1])
        assert float((given + delta - x_b).abs().max()) < 1e-6 * scale
        # stored components are the same, in half precision
        kept = open_store(tiny.results / "components" / f"{plan.name}.json")
        assert kept.rows["image_id"].tolist() == bench.store(plan.target).image_ids[rows].tolist()
        halves = torch.from_numpy(kept["component"][:][-1]).float()
        assert float((given + halves - x_b).abs().max()) < 1e-3 * scale
        # the counter-examples: no blind spots, those of the image before, the other direction's
        assert float((given - x_b).abs().max()) > 0.05 * scale
        assert float((given + delta.roll(1, 0) - x_b).abs().max()) > 0.05 * scale


def test_sums_are_made_in_any_order_and_of_the_superclass(tiny, bench):
    plan = plan_of(tiny, "redundancy").fits[0]
    assert plan.only == "dog"
    source = bench.layer(plan.source, plan.source_node, plan.only)
    found = bench.sums(bench.fit(plan), source, 2)
    for subset, some in found.items():
        assert len(some) == len(source.rows[subset]) == len(source.labels[subset])
        made = PartialSums(bench.fit(plan), source.rows[subset], 2)
        order = np.random.default_rng(0).permutation(len(made))
        torch.testing.assert_close(some.batch(order), made.batch(order), rtol=1e-5, atol=1e-5)
    assert sum(map(len, found.values())) == 40


def test_features_too_large_to_hold_are_computed_in_batches_with_the_same_results(tiny, bench):
    scarce = changed(tiny, memory_gb=1e-9)
    layer = bench.layer(A, "features.10")
    assert isinstance(bench.raw(layer)["train"], HeldFeatures)
    assert isinstance(scarce.raw(layer)["train"], StoredRows)
    assert isinstance(bench.sums(bench.fit(PAIR), layer, 2)["test"], HeldFeatures)
    assert isinstance(scarce.sums(scarce.fit(PAIR), layer, 2)["test"], PartialSums)
    here, there = (Readings(some).of_pair(PAIR, range(3)) for some in (bench, scarce))
    assert list(here) == list(there) == ["A", "B", "x0", "x0+x1", "x0+x1+x2"]
    for name, found in here.items():
        assert found.tolist() == there[name].tolist(), name
    assert len({tuple(found.tolist()) for found in here.values()}) > 2


def test_features_that_just_fit_are_held(tiny):
    layer = Bench(tiny).layer(A, "features.10")
    size = 4 * len(layer.rows["train"]) * int(np.prod(layer.rows["train"].array.shape[1:]))
    for memory_gb, kind in ((size / 1e9, HeldFeatures), ((size - 1) / 1e9, StoredRows)):
        found = changed(tiny, memory_gb=memory_gb).raw(layer)
        assert isinstance(found["train"], kind)


# both together


def test_features_reconstructed_from_the_same_network_are_read_as_its_own(tiny):
    bench = changed(tiny, STILL)
    own = Readings(bench).of_pair(SELF, [0, 2])
    assert own["x0+x1+x2"].tolist() == own["A"].tolist() == own["B"].tolist()
    # the counter-example: another network's is not
    pair = Readings(bench).of_pair(PAIR, [0])
    assert pair["A"].tolist() == own["A"].tolist()
    assert pair["A"].tolist() != pair["B"].tolist()
    assert pair["x0"].tolist() != pair["A"].tolist()


def test_baselines_and_sums_are_read_by_their_own_tails(tiny):
    bench = changed(tiny, STILL)
    found = Readings(bench).of_pair(PAIR, [2])
    a, b = (bench.layer(end, "features.10") for end in (A, B))
    labels = b.labels["test"].numpy()
    for name, end in (("A", A), ("B", B)):
        right = choices(logits(tiny, end), b.rows["test"].rows) == labels
        assert found[name].tolist() == right.tolist()
    given = HeldFeatures(everything(PartialSums(bench.fit(PAIR), a.rows["test"], 2)))
    assert found["x0+x1+x2"].tolist() == (predictions(b.tail, given) == labels).tolist()
    assert found["x0+x1+x2"].tolist() != (predictions(a.tail, given) == labels).tolist()


def test_stores_of_other_images_are_refused(tiny, tmp_path: Path):
    results = tmp_path / "results"
    for name in ("networks", "fits"):
        shutil.copytree(tiny.results / name, results / name)
    for end in (A, B):
        store = open_store(tiny.results / "activations" / f"{end.name}.json")
        rows = store.rows.copy()
        if end == B:
            rows.loc[[5, 6], "image_id"] = rows.loc[[6, 5], "image_id"].to_numpy()
        array = store["features.10"]
        spec = ArraySpec(array.name, array.dims, array.shape, "float32")
        out = results / "activations" / f"{end.name}.zarr"
        with StoreWriter(out, "key", StoreContent([spec], rows, array.shard_rows)) as writer:
            for shard in writer.missing():
                writer.write(shard, {array.name: array[writer.rows(shard)]})
            writer.finish()
    bench = Bench(tiny.model_copy(update={"results": results}))
    first = open_store(tiny.results / "activations" / f"{A.name}.json").image_ids[5]
    with pytest.raises(StoreError, match=rf"first difference at row 5: {first} / .*Fix: "):
        Readings(bench).of_pair(PAIR, [0])
    with pytest.raises(StoreError, match="list different images"):
        bench.fit(PAIR)


def test_parts_float32_cannot_hold_are_made_as_the_decomposition_makes_them(tmp_path: Path):
    """Under ``released`` a map of tiny variance is divided by its standard deviation."""
    generator = torch.Generator().manual_seed(0)
    x = 3 + 1e-6 * torch.randn(8, 4, 6, 6, generator=generator)
    rows = pd.DataFrame({"image_id": [f"{n}.jpg" for n in range(8)]})
    spec = ArraySpec("conv5", ("image", "channel", "y", "x"), x.shape, "float32")
    with StoreWriter(tmp_path / "x.zarr", "key", StoreContent([spec], rows, 8)) as writer:
        writer.write(0, {"conv5": x.numpy()})
        writer.finish()
    net = ConsistencyNet((4, 6, 6), (4, 6, 6), kernel_size=1, sigma="image", seed=0).eval()
    everywhere, entry = np.arange(8), Entry(0, "start", 0.0, 0.0, (0.5, 0.5), 0.0)
    about = FitAbout("released", "layer", 0.1, 0, "no")
    fit = FitResult(net, pd.DataFrame(), Normalisation(), everywhere, everywhere, entry, about)
    some = StoredRows(open_store(tmp_path / "x.zarr")["conv5"], everywhere)
    parts = fit.decompose(x, torch.zeros_like(x)).components
    with torch.no_grad():
        assert (net.components(x) - parts).abs().max() > 1e-2 * parts.abs().max()
    for upto in range(3):
        found = everything(PartialSums(fit, some, upto))
        torch.testing.assert_close(found, parts[: upto + 1].sum(0))


def test_partial_sums_are_named_as_in_the_table():
    assert [sum_name(k) for k in range(3)] == ["x0", "x0+x1", "x0+x1+x2"]


def test_a_tail_keeps_every_class_if_all_occur(bench):
    """All classes occur: the last layer keeps all rows."""
    layer = bench.layer(A, "features.10")
    linears = [module for module in layer.tail.modules() if isinstance(module, nn.Linear)]
    assert linears[-1].out_features == 5
    assert sorted(set(torch.cat(list(layer.labels.values())).tolist())) == [0, 1, 2, 3, 4]


# what belongs to one network


def test_a_networks_own_tail_is_trained_once_for_all_its_pairs(tiny, bench, monkeypatch):
    trained, train = [], reading.train_tail
    monkeypatch.setattr(reading, "train_tail", lambda *some: trained.append(1) or train(*some))
    pairs = plan_of(tiny, "refinement").fits
    assert {(fit.source, fit.target) for fit in pairs} == {(A, B), (B, A)}
    together = Readings(bench)
    found = [together.of_pair(fit, [2]) for fit in pairs]
    assert len(trained) == 2 + 2  # the own tails of two networks, a reconstruction each
    # the same as without reuse
    for fit, some in zip(pairs, found, strict=True):
        for name, right in Readings(bench).of_pair(fit, [2]).items():
            assert some[name].tolist() == right.tolist()
    assert found[0]["A"].tolist() == found[1]["B"].tolist()
    # images of one superclass have another tail
    Readings(bench).own((A, "features.10", "dog"))
    together.own((A, "features.10", "dog"))
    assert len(trained) == 4 + 2 * 3 + 2


def test_networks_as_trained_have_the_accuracies_of_their_cards(tiny, bench):
    found = Readings(bench).as_trained(PAIR)
    cards = [read_network_card(end, tiny.results) for end in (A, B)]
    expected = [card["accuracy"]["test"] for card in cards]
    assert [found["A_as_trained"], found["B_as_trained"]] == expected
    assert expected[0] != expected[1]


def test_for_a_superclass_networks_as_trained_choose_among_its_classes(tiny, bench):
    (plan,) = (fit for fit in plan_of(tiny, "redundancy").fits if fit.source == A)
    found = Readings(bench).as_trained(plan)
    for name, end in (("A_as_trained", A), ("B_as_trained", B)):
        layer = bench.layer(end, "features.10", "dog")
        rows, labels = layer.rows["test"].rows, layer.labels["test"].numpy()
        right = choices(logits(tiny, end), rows, DOG_CLASSES) == labels
        assert found[name] == pytest.approx(100 * right.mean())
        # the counter-example: among all classes it is right less often
        assert (choices(logits(tiny, end), rows) == labels).mean() <= right.mean()
