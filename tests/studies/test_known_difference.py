"""The study of known differences: decoding, places, contrasts and power, and all of its files."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from kc.consistency.data import pair_up
from kc.consistency.fit import fit
from kc.consistency.products import fit_pairs
from kc.errors import SettingsError, StoreError
from kc.images import build_image_store, open_images
from kc.names import node_of
from kc.plans.outputs import outputs_of
from kc.plans.products import NetworkPlan
from kc.plans.records.known_difference import KnownDifference, groups_of, titration_name
from kc.plans.studies import plan_of
from kc.runtime import derive_seed
from kc.settings.load import load_settings
from kc.settings.reconstruction import Optimiser
from kc.steps.titrations import Titration, titrate
from kc.store import ArraySpec, Store, StoreContent, StoreWriter
from kc.studies.known_difference import write
from kc.studies.known_difference.contrasts import (
    CONTRASTS,
    contrast_values,
    contrasts_table,
    power_of,
)
from kc.studies.known_difference.decoding import decoded, decoded_classes
from kc.studies.known_difference.factors import KnownFactor, known_factor, mean_chroma
from kc.studies.known_difference.notes import handicap_notes, titration_notes, verdicts
from kc.studies.known_difference.numbers import MEASURES, Split, coarse, residues
from tests.reference.written_fits import write_network

CPU = torch.device("cpu")


def known(images=200, units=60, seed=0):
    """Return a factor of two numbers, and features that hold it in few directions."""
    rng = np.random.default_rng(seed)
    factor = rng.standard_normal((images, 2)) * (1, 30) + (5, 0)
    features = factor @ rng.standard_normal((2, units)) + rng.standard_normal((images, units))
    return features, factor


# decoding


def test_a_factor_that_features_hold_is_decoded_and_a_permuted_one_is_not():
    features, factor = known()
    assert decoded(1000 * features, factor) > 0.9
    assert decoded(features, np.random.default_rng(1).permutation(factor)) < 0.1
    noise = np.random.default_rng(2).standard_normal((200, 60))
    assert abs(decoded(noise, factor)) < 0.1


def test_with_more_units_than_images_it_is_decoded_too():
    features, factor = known(images=100, units=400)
    assert decoded(features, factor) > 0.9
    assert decoded(features, np.random.default_rng(1).permutation(factor)) < 0.15


def test_constant_features_tell_nothing():
    _, factor = known()
    assert decoded(np.ones((200, 3)), factor) == pytest.approx(0)


def test_classes_are_decoded_from_0_at_chance_to_1():
    rng = np.random.default_rng(0)
    labels = np.repeat([3, 5, 8], 40)
    features = rng.standard_normal((120, 20))
    features[:, :3] += 6 * np.eye(3)[np.repeat([0, 1, 2], 40)]
    assert decoded_classes(features, labels) == pytest.approx(1)
    assert abs(decoded_classes(features, rng.permutation(labels))) < 0.2


# places


def test_the_ratio_on_and_off_the_object_equals_that_computed_by_hand():
    rng = np.random.default_rng(0)
    on = np.zeros((8, 1, 4, 4))
    on[:, :, :2] = 1
    maps = rng.standard_normal((8, 3, 4, 4)) * np.where(on, 3, 1) + 7
    split = Split()
    for part in (slice(0, 5), slice(5, 8)):
        split.add(torch.from_numpy(maps[part]), torch.from_numpy(on[part]))
    squares = np.square(maps - maps.mean((0, 2, 3), keepdims=True))
    mask = np.broadcast_to(on, maps.shape) == 1
    assert split.ratio == pytest.approx(squares[mask].mean() / squares[~mask].mean())
    assert np.isnan(Split().ratio)
    whole = Split()
    whole.add(torch.from_numpy(maps), torch.ones(8, 1, 4, 4))
    assert np.isnan(whole.ratio)


def test_what_only_the_target_knows_is_found_where_it_is():
    """The target holds a factor inside a mask that the source does not."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 4, 4, 4)).astype(np.float32)
    factor = rng.standard_normal((300, 2))
    masks = np.zeros((300, 8, 8), bool)
    masks[:, :4] = True
    y = x.copy()
    y[:, :2, :2] += factor[:, :, None, None]
    result = fit(x, y, order=0, train=range(200), optimiser=Optimiser(epochs=3))
    rows = np.arange(200, 300)
    about = KnownFactor(rows, factor[rows], None, masks[rows])
    found = residues(result, pair_up(x, y, CPU), about)
    assert found.pooled.shape == (100, 4 * 4)
    assert decoded(found.pooled, factor[rows]) > 0.95
    assert found.inside > 5
    no_masks = residues(result, pair_up(x, y, CPU), about._replace(masks=None))
    assert np.isnan(no_masks.inside)
    assert np.array_equal(no_masks.pooled, found.pooled)


def test_features_are_averaged_over_a_coarse_grid():
    maps = torch.arange(32.0).reshape(1, 2, 4, 4)
    assert coarse(maps).tolist() == [[2.5, 4.5, 10.5, 12.5, 18.5, 20.5, 26.5, 28.5]]
    assert coarse(torch.ones(3, 5, 2)).shape == (3, 2)
    assert coarse(torch.ones(3, 2)).shape == (3, 2)
    assert coarse(torch.ones(3, 2, 1, 1)).shape == (3, 2)


def test_chroma_is_that_of_the_object():
    pictures = np.zeros((2, 3, 2, 2), np.uint8)
    pictures[0, 2] = 255
    pictures[:, 0, 0, 0] = 255  # one red pixel
    masks = np.zeros((2, 2, 2), bool)
    masks[:, 0, 0] = True
    red = mean_chroma(pictures[1:], masks[1:])[0]
    assert red == pytest.approx([-0.169 * 255, 0.5 * 255], abs=0.3)
    assert mean_chroma(pictures[1:], None)[0] == pytest.approx(red / 4)
    assert mean_chroma(pictures[1:], masks[1:] & False)[0] == pytest.approx(red / 4)


# contrasts

VALUES = {"h_to_f": 0.5, "p_to_f": 0.4, "f_to_f": 0.35, "f_to_h": 0.45, "h_to_h": 0.42, "f_to_p": 0}


def fits(groups=4, spread=0.0, inside=True):
    rows = [
        {"part": "grey", "group": f"seeds {2 * g}, {2 * g + 1}", "role": role}
        | dict.fromkeys(MEASURES, value + spread * (g if role == "h_to_f" else 0))
        | ({} if inside else {"inside": np.nan})
        for g in range(groups)
        for role, value in VALUES.items()
    ]
    return pd.DataFrame(rows)


def test_contrasts_equal_those_computed_by_hand():
    by_hand = {"beyond placebo": 0.1, "beyond seeds": 0.15, "interaction": 0.12}
    by_hand["asymmetry"] = 0.05 - 0.4
    assert by_hand.keys() == CONTRASTS.keys()
    for contrast, value in by_hand.items():
        assert contrast_values(fits(), "grey", contrast, "decoded") == pytest.approx([value] * 4)
    table = contrasts_table(fits(spread=0.01)).set_index(["measure", "contrast"])
    row = table.loc[("share", "beyond seeds")]
    values = np.array([0.15, 0.16, 0.17, 0.18])
    error = values.std(ddof=1) / 2
    assert row["value"] == pytest.approx(values.mean())
    assert row["ci_high"] - row["value"] == pytest.approx(3.182446 * error, rel=1e-5)
    assert row["effect"] == pytest.approx(values.mean() / error)
    assert row["smallest"] == pytest.approx((3.182446 + 0.978472) * error, rel=1e-5)
    assert (row["n"], row["power"]) == (4, pytest.approx(1, abs=1e-3))
    assert len(table) == len(MEASURES) * len(CONTRASTS)


def test_a_measure_without_values_is_left_out_and_two_groups_have_no_interval():
    assert "inside" not in set(contrasts_table(fits(inside=False))["measure"])
    table = contrasts_table(fits(groups=2, spread=0.01))
    assert table[["ci_low", "ci_high", "effect", "power", "smallest"]].isna().all(axis=None)
    (told,) = verdicts(table)
    assert told.startswith("grey: 2 groups of networks give no interval")
    assert told.endswith("Fix: six or more known_difference.seeds.")


def test_a_contrast_that_is_0_by_definition_is_left_out():
    frame = fits(spread=0.01)
    for there, back in (("h_to_f", "f_to_h"), ("p_to_f", "f_to_p")):
        same = frame.loc[frame["role"] == there, "cka"].to_numpy()
        frame.loc[frame["role"] == back, "cka"] = same
    found = contrasts_table(frame)
    assert "asymmetry" not in set(found[found["measure"] == "cka"]["contrast"])
    assert "asymmetry" in set(found[found["measure"] == "share"]["contrast"])


def test_power_is_the_level_without_effect_and_that_of_simulated_tests_with_one():
    assert power_of(0.0, 4) == pytest.approx(0.05)
    assert power_of(-2.5, 4) == power_of(2.5, 4)
    assert np.isnan(power_of(2.0, 2))
    rng = np.random.default_rng(0)
    drawn = rng.standard_normal((20_000, 4)) + 2.5 / 2  # an effect of 2.5 standard errors
    detected = stats.ttest_1samp(drawn, 0, axis=1).pvalue < 0.05
    assert power_of(2.5, 4) == pytest.approx(detected.mean(), abs=0.01)


def test_intervals_of_groups_that_share_no_network_cover_and_a_ring_would_not():
    """Networks are sources and targets: 95 % of the intervals hold the true difference, 0."""
    rng = np.random.default_rng(0)
    runs, groups = 4_000, 4

    def covered(values):
        half = stats.t.ppf(0.975, groups - 1) * values.std(1, ddof=1) / groups**0.5
        return float((np.abs(values.mean(1)) <= half).mean())

    def fitted(source, target):
        return source + target + 0.3 * rng.standard_normal(source.shape)

    def drawn():
        # a network that gives little also asks much of others
        give = rng.standard_normal((runs, groups))
        return give, give

    h, h2, f, f2 = (drawn() for _ in range(4))
    ring = (np.roll(h[0], 1, 1), np.roll(f[0], 1, 1))

    def interaction(h_other, f_other):
        there = fitted(h[0], f[1]) - fitted(f_other, f[1])
        back = fitted(f[0], h[1]) - fitted(h_other, h[1])
        return there - back

    assert covered(interaction(h2[0], f2[0])) == pytest.approx(0.95, abs=0.015)
    assert covered(interaction(*ring)) < 0.9


# notes


def test_the_first_sentence_tells_which_measures_detect_the_gap():
    uneven, frame = [-0.6, 0.3, -0.3, 0.6], fits()
    for measure in MEASURES:
        frame.loc[frame["role"] == "h_to_f", measure] += uneven
    (none,) = verdicts(contrasts_table(frame))
    assert none.startswith("grey: the known gap exceeds what seeds alone give by no measure. Not ")
    assert "decoded (+0.150; seen would have been " in none
    frame = fits(spread=0.01)
    frame.loc[frame["role"] == "h_to_f", "cka"] += uneven
    (some,) = verdicts(contrasts_table(frame))
    assert "by decoded (power 1.00), inside (power 1.00), share" in some
    assert "it also exceeds the placebo by decoded, inside, share, linear. Not shown by cka" in some


def test_a_placebo_of_another_accuracy_is_the_first_note():
    about = KnownDifference()
    table = pd.DataFrame({"kind": ["full", "grey", "fewer50"], "top1": [90.0, 80.0, 74.9]})
    assert handicap_notes(about, table)[0] == (
        "Warning: the placebo of grey differs by 5.1 points from the handicapped networks, more "
        "than 5, so the comparison is weaker. Fix: a higher known_difference.placebo_images.grey."
    )
    assert "Warning" not in handicap_notes(about, table.assign(top1=[90, 80, 76]))[0]


def test_the_titration_tells_how_far_each_measure_is_from_the_truth():
    frame = pd.DataFrame(
        {"part": ["added", "added", "deleted"], "truth": [0.0, 0.5, np.nan], "g": [0.01, 0.45, 1]}
        | {"linear": [0, 0.5, 1], "cka": [0, 0.3, 1], "settled": "plateau"}
    )
    assert titration_notes(frame, "paper")[0] == (
        "Largest distance from the true share that was added: g 0.050, linear 0.000, cka 0.200."
    )


# plan and files


def test_groups_share_no_network_and_both_fits_of_a_difference_have_one_target():
    found = groups_of(KnownDifference(), "grey")
    assert len(found) == 4
    networks = [
        {end for fit in group.fits.values() for end in (fit.source, fit.target)} for group in found
    ]
    assert [len(some) for some in networks] == [5] * 4
    assert len(set().union(*networks)) == 20
    for group in found:
        assert group.fits["h_to_f"].target == group.fits["f_to_f"].target
        assert group.fits["f_to_h"].target == group.fits["h_to_h"].target
        assert group.fits["p_to_f"].target == group.fits["h_to_f"].target


def test_two_factors_share_their_full_networks():
    settings = load_settings({"known_difference": {"factors": ["grey", "classes"]}})
    plan = plan_of(settings, "known_difference")
    assert len(plan.networks) == 8 + 8 + 4 + 8 + 4
    assert len(plan.fits) == len({fit.name for fit in plan.fits}) == 24 + 20
    assert [fit.name for fit in plan.fits if fit.keep] == [
        "birds-resnet18-seed0-grey--birds-resnet18-seed0--last_conv",
        "birds-resnet18-seed0-without4--birds-resnet18-seed0--last_conv",
    ]


def test_an_odd_number_of_seeds_is_one_clear_error():
    with pytest.raises(
        SettingsError, match=r"known_difference\.seeds: .*even number of seeds, .* got 3\. Fix: one"
    ):
        load_settings({"known_difference": {"seeds": [0, 1, 2]}})


def test_a_factor_without_a_placebo_is_one_clear_error():
    section = {"factors": ["grey", "classes"], "placebo_images": {"grey": 0.5}}
    with pytest.raises(SettingsError, match=r"placebo_images has no 'classes', .*Fix: add a share"):
        load_settings({"known_difference": section})


TINY = {
    "device": "cpu",
    "datasets": {
        "birds": {"size": 16, "generated": {"classes": 4, "images_per_class": 40, "canvas": 32}}
    },
    "consistency": {"order": 0, "optimiser": {"epochs": 1}},
    "pictures": {"filters": 1, "images": 1},
    "known_difference": {"seeds": [0, 1, 2, 3, 4, 5], "added": [0.2], "deleted": [1]},
}
NODE = node_of("resnet18", "last_conv")


def features_of(network: NetworkPlan, colours: np.ndarray) -> np.ndarray:
    """Return what a network knows: three numbers of a picture, and its colour unless it is grey.

    Each network mixes them in its own way. The placebo lacks one of the three numbers.
    """
    shapes = np.random.default_rng(0).standard_normal((len(colours), 3))
    known = {"grey": shapes, "fewer50": np.hstack([shapes[:, 1:], colours])}
    knowledge = known.get(network.handicap, np.hstack([shapes, colours]))
    rng = np.random.default_rng(derive_seed(network.name))
    mixed = knowledge @ rng.standard_normal((knowledge.shape[1], 6 * 4))
    noisy = mixed + 0.3 * rng.standard_normal(mixed.shape)
    return noisy.reshape(-1, 6, 2, 2).astype(np.float32)


def write_features(results: Path, network: NetworkPlan, images: Store, colours: np.ndarray) -> None:
    values = features_of(network, colours)
    spec = ArraySpec(NODE, ("image", "channel", "y", "x"), values.shape, "float32")
    path = results / "activations" / f"{network.name}.zarr"
    path.parent.mkdir(exist_ok=True)
    with StoreWriter(path, "key", StoreContent([spec], images.rows, len(values))) as writer:
        writer.write(0, {NODE: values})
        writer.finish()
    write_network(network, results, lambda one: 80.0 if one.handicap else 90.0)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Everything that the study reads, of networks whose knowledge is made."""
    results = tmp_path_factory.mktemp("known") / "results"
    settings = load_settings(TINY | {"results": results})
    plan, about = plan_of(settings, "known_difference"), settings.of(KnownDifference)
    build_image_store(settings.datasets["birds"], None, results / "images" / "birds.zarr", "key")
    images = open_images(results / "images" / "birds.json")
    colours = mean_chroma(images["image"][:], images["foreground"][:])
    colours = (colours - colours.mean(0)) / colours.std(0)
    for network in plan.networks:
        write_features(results, network, images, colours)
    stores = {n.name: results / "activations" / f"{n.name}.json" for n in plan.networks}
    fit_pairs(plan.fits, stores, settings.consistency, 0, results, CPU)
    wanted = Titration(titration_name(about), about.titrated.name, NODE, about.added, about.deleted)
    titrate(wanted, settings.consistency, results, "cpu")
    write(settings.of_study("known_difference"))
    return settings, wanted


def test_all_files_are_written_and_hold_their_numbers(made):
    settings, _ = made
    results: Path = settings.results
    for name in outputs_of(settings, "known_difference", plan_of(settings, "known_difference")):
        assert (results / name).is_file(), name
    each = pd.read_csv(results / "tables" / "known_difference_fits.csv")
    assert len(each) == 3 * 6
    assert each[list(MEASURES)].notna().all(axis=None)
    kinds = pd.read_csv(results / "tables" / "handicaps.csv")
    assert kinds["kind"].tolist() == ["full", "grey", "fewer50"]
    assert kinds["n"].tolist() == [6, 6, 3]
    assert kinds["top1"].tolist() == [90, 80, 80]
    titration = pd.read_csv(results / "tables" / "titration.csv")
    assert titration["part"].tolist() == ["added", "deleted"]
    assert titration["truth"][0] == 0.2
    assert titration["linear_field"].isna().tolist() == [True, False]


def test_colour_that_networks_lack_is_decoded_from_what_they_do_not_give(made):
    settings, _ = made
    tables = settings.results / "tables"
    each = pd.read_csv(tables / "known_difference_fits.csv").groupby("role")["decoded"].mean()
    assert each["h_to_f"] > 0.7
    assert each.drop("h_to_f").max() < 0.3
    found = pd.read_csv(tables / "known_difference.csv").set_index(["measure", "contrast"])
    for contrast in CONTRASTS:
        assert found.loc[("decoded", contrast), "ci_low"] > 0
    # the placebo lacks as much, but something else
    assert found.loc[("share", "beyond seeds"), "value"] > 0.1
    assert found.loc[("share", "beyond placebo"), "ci_low"] < 0.1
    notes = (tables / "known_difference.md").read_text()
    assert "the known gap exceeds what seeds alone give by decoded (power " in notes


def test_the_factor_of_classes_is_read_from_the_pictures_of_those_left_out(made):
    settings, _ = made
    images = open_images(settings.results / "images" / "birds.json")
    test = np.flatnonzero(images.rows["subset"] == "test")
    found = known_factor(KnownDifference(left_out=2), "classes", images, test)
    assert found.labels is not None
    assert set(found.labels) == {0, 1}
    assert set(found.rows) == set(test[images.rows["label"].to_numpy()[test] < 2])
    assert found.masks is not None
    assert found.masks.shape == (len(found.rows), 16, 16)


def test_a_titration_is_made_once_and_resumes_at_the_next_fit(made, monkeypatch):
    settings, wanted = made
    about = (wanted, settings.consistency, settings.results, "cpu")
    folder = settings.results / "titrations" / wanted.name
    before = (folder / "titration.csv").read_bytes()
    monkeypatch.setattr("kc.consistency.fit_product.fit_pair", lambda *_: pytest.fail("fitted"))
    titrate(*about)
    for name in ("card.json", "result.json", "titration.csv"):
        (folder / name).unlink()
    titrate(*about)
    assert (folder / "titration.csv").read_bytes() == before


def test_a_damaged_titration_is_one_clear_error(made):
    settings, wanted = made
    file = settings.results / "titrations" / wanted.name / "titration.csv"
    before = file.read_bytes()
    file.write_bytes(before + b"\n")
    try:
        with pytest.raises(StoreError, match=r"titration\.csv missing or not .*Fix: snakemake"):
            write(settings)
    finally:
        file.write_bytes(before)
