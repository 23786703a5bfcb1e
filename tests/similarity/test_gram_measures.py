"""Measures from inner products of images: known answers, plain versions, and their null."""

import math

import numpy as np
import pytest
import torch

from kc.similarity import grams
from kc.similarity.all_pairs import all_pairs
from kc.similarity.dual_share import TRIED, ImageParts, TargetGrams, dual_shares
from kc.similarity.gram_measures import (
    calibrated_share,
    calibrated_similarity,
    cka_form,
    draw_permutations,
    neighbours_form,
    p_values,
    permuted_products,
)
from kc.similarity.grams import image_gram
from kc.similarity.minibatch import minibatch_cka

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)
PARTS = ImageParts(50, 10, 40)
ROWS = np.arange(100)


def gram_of(values, rows=ROWS):
    return image_gram(lambda some: values[some], rows, CPU)


def shares_of(source, targets, parts, order):
    return dual_shares(source, TargetGrams.of(torch.stack([*targets]), parts), parts, order)


def drawn(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("held", [1e9, 300.0])
@pytest.mark.parametrize("exact", [8192, 1])
def test_a_gram_has_the_inner_products_of_rows_in_the_order_asked_for(monkeypatch, held, exact):
    monkeypatch.setattr(grams, "HELD", held)
    monkeypatch.setattr(grams, "EXACT", exact)
    monkeypatch.setattr(grams, "BLOCK", 7)
    values = drawn(30, 2, 3, 4) + 5
    rows, asked = np.array([4, 29, 0, 11, 12, 13, 2]), []

    def read(some):
        asked.append(some)
        assert (np.diff(some) > 0).all()
        return values[some]

    flat = values[rows].reshape(7, -1).astype(np.float64)
    flat -= flat.mean(0)
    found = grams.centred_about(image_gram(read, rows, CPU), slice(7))
    np.testing.assert_allclose(found, flat @ flat.T, atol=1e-5 if exact == 1 else 1e-10)
    # one row to see its size, then all of them once if they fit
    assert len(asked) == (2 if held == 1e9 else 1 + 3 + 3)


def test_a_constant_feature_has_a_gram_of_zeros_and_no_numbers():
    flat = gram_of(np.full((100, 3), 0.1, np.float32))
    other = gram_of(drawn(100, 3))
    assert not flat.any()
    assert cka_form(flat).isnan().all()
    assert neighbours_form(flat).isnan().all()
    order = ROWS[None]
    assert shares_of(flat, other[None], PARTS, order).isnan().all()
    assert shares_of(other, torch.stack([flat, other]), PARTS, order).isnan()[0].tolist() == [
        True, False
    ]  # fmt: skip


def test_cka_is_that_of_one_batch_and_does_not_see_rotations():
    x, y = drawn(40, 6), drawn(40, 200, seed=1)
    y[:, :6] += 3 * x
    found = float((cka_form(gram_of(x, ROWS[:40])) * cka_form(gram_of(y, ROWS[:40]))).sum())
    assert found == pytest.approx(minibatch_cka([(torch.tensor(x), torch.tensor(y))]), abs=1e-9)
    turned = x @ np.linalg.qr(drawn(6, 6, seed=2))[0]
    same = cka_form(gram_of(x, ROWS[:40])) * cka_form(gram_of(turned, ROWS[:40]))
    assert float(same.sum()) == pytest.approx(1, abs=1e-5)
    assert cka_form(gram_of(x, ROWS[:3])).isnan().all()


def test_neighbours_are_the_shared_nearest_ones():
    x, y = drawn(40, 3), drawn(40, 3, seed=1) + drawn(40, 3)
    shared = []
    for one in range(40):
        near = [np.argsort(np.square(z - z[one]).sum(1), kind="stable")[1:11] for z in (x, y)]
        shared.append(len(set(near[0]) & set(near[1])) / 10)
    forms = [neighbours_form(gram_of(z, ROWS[:40])) for z in (x, y)]
    assert float((forms[0] * forms[1]).sum()) == pytest.approx(np.mean(shared))
    assert float((forms[0] * forms[0]).sum()) == pytest.approx(1)
    assert neighbours_form(gram_of(x, ROWS[:10])).isnan().all()


def plain_share(x, y, parts, strength):
    """Ridge on units, fitted to the first images, its error on the others about their mean."""
    fitted, held = (slice(None, parts[0]), slice(parts[0], parts[0] + parts[1]))
    mean_x, mean_y = x[fitted].mean(0), y[fitted].mean(0)
    a, b = x[fitted] - mean_x, y[fitted] - mean_y
    damped = a.T @ a + strength * np.trace(a @ a.T) / parts[0] * np.eye(x.shape[1])
    missed = y[held] - mean_y - (x[held] - mean_x) @ np.linalg.solve(damped, a.T @ b)
    return np.var(missed, axis=0).sum() / np.var(y[held], axis=0).sum()


@pytest.mark.parametrize(("units", "noise"), [(5, 0.1), (30, 1.0), (150, 3.0)])
def test_linear_shares_are_those_of_ridge_on_the_units(units, noise):
    x = drawn(100, units).astype(np.float64) + 2
    targets = [x @ drawn(units, k, seed=k) + noise * drawn(100, k, seed=9) for k in (3, 20)]
    finite = [strength for strength in TRIED[1:] if math.isfinite(strength)]
    wanted, least = [], []
    for y in targets:
        errors = [plain_share(x[:60], y[:60], (50, 10), strength) for strength in finite]
        least.append(finite[int(np.argmin(errors))])
        wanted.append(plain_share(x, y, (60, 40), least[-1]))
    found = shares_of(gram_of(x), map(gram_of, targets), PARTS, ROWS[None])
    # without a ridge, the smallest solution is used
    np.testing.assert_allclose(found[0], wanted, rtol=1e-3 if min(least) < 1e-4 else 1e-6)


def test_equal_and_rotated_features_miss_nothing():
    x = drawn(100, 8)
    turned = x @ np.linalg.qr(drawn(8, 8, seed=2))[0]
    targets = torch.stack([gram_of(x), gram_of(turned)])
    order = draw_permutations(PARTS, 5, seed=0)
    found = shares_of(gram_of(x), targets, PARTS, order)
    assert found[0].abs().max() < 1e-6
    assert calibrated_share(found[0], found[1:]).min() > 1 - 1e-6
    forms = torch.stack([neighbours_form(one[60:, 60:]) for one in targets])
    assert permuted_products(forms[0], forms, ROWS[None, :40])[0].tolist() == pytest.approx([1, 1])


def test_permuted_products_are_those_of_permuted_features():
    x, y = drawn(100, 8), drawn(100, 3, seed=1)
    y += x[:, :3]
    order = draw_permutations(PARTS, 3, seed=0)
    assert (order[0] == ROWS).all()
    for begin, stop in ((0, 50), (50, 60), (60, 100)):
        assert (np.sort(order[:, begin:stop]) == np.arange(begin, stop)).all()
    targets = gram_of(y)[None]
    shares = shares_of(gram_of(x), targets, PARTS, order)
    forms = cka_form(gram_of(x)), cka_form(gram_of(y))
    products = permuted_products(forms[0], forms[1][None], order)
    for number, one in enumerate(order):
        moved = gram_of(x[one])
        alone = shares_of(moved, targets, PARTS, ROWS[None])
        assert float(shares[number]) == pytest.approx(float(alone), rel=1e-6)
        assert float(products[number]) == pytest.approx(float((cka_form(moved) * forms[1]).sum()))
    assert shares[0] < 0.9 < shares[1:].min()


@pytest.mark.parametrize(("wide", "images"), [(10, 50), (300, 50), (2000, 120)])
def test_independent_features_are_at_zero_and_their_p_is_uniform(wide, images):
    """Thirty independent targets of one source: values scatter about 0, p about all of (0, 1]."""
    fitted = images * 45 // 100
    parts = ImageParts(fitted, images // 10, images - fitted - images // 10)
    rows = np.arange(images)
    source = gram_of(drawn(images, wide), rows)
    targets = torch.stack([gram_of(drawn(images, wide, seed=k), rows) for k in range(1, 31)])
    held = slice(parts.known, images)
    order = draw_permutations([parts.test], 199, seed=0)
    for form in (cka_form, neighbours_form):
        forms = torch.stack([form(one[held, held]) for one in targets])
        found = permuted_products(form(source[held, held]), forms, order)
        values = calibrated_similarity(found[0], found[1:])
        assert abs(float(values.mean())) < 4 * float(values.std()) / math.sqrt(30)
        p = p_values(found[0], found[1:])
        # a uniform p is below 0.25 in 7.5 of 30, standard deviation 2.4; ties make it larger
        assert int((p < 0.25).sum()) <= 17
        assert p.min() >= 1 / 200
        assert int((p > 0.5).sum()) >= 6
    shares = shares_of(source, targets, parts, draw_permutations(parts, 5, seed=0))
    values = calibrated_share(shares[0], shares[1:])
    assert values.abs().max() < 0.2
    assert abs(float(values.mean())) < 0.05


def test_calibrated_values_are_empty_where_the_null_says_nothing():
    null = torch.tensor([[1.0, 0.5], [1.0, 0.3]])
    found = calibrated_similarity(torch.tensor([1.0, 0.7]), null)
    assert found[0].isnan()
    assert float(found[1]) == pytest.approx(0.5)
    found = calibrated_share(torch.tensor([0.0, 0.1]), null - 1)
    assert found[0].isnan()
    found = calibrated_share(torch.tensor([0.1]), torch.tensor([[0.4], [0.6]]))
    assert float(found) == pytest.approx(0.8)
    assert p_values(torch.tensor([torch.nan]), null[:, :1]).isnan().all()


def test_all_pairs_have_both_directions_and_their_nulls():
    x, y, z = drawn(100, 8), drawn(100, 3, seed=1), drawn(100, 5, seed=2)
    y = x @ drawn(8, 3, seed=3)
    first, second = torch.stack([gram_of(x)]), torch.stack([gram_of(one) for one in (x, y, z)])
    found = all_pairs(first, second, PARTS, seed=0)
    same, narrow, apart = ({name: float(v[0, k]) for name, v in found.items()} for k in range(3))
    assert list(same) == [
        *("cka", "cka_calibrated", "p_cka"),
        *("neighbours_flattened", "neighbours_flattened_calibrated", "p_neighbours_flattened"),
        *("linear_flattened_b", "linear_flattened_b_calibrated"),
        *("linear_flattened_a", "linear_flattened_a_calibrated"),
    ]
    shares = {name: value for name, value in same.items() if name.startswith("linear")}
    assert list(shares.values()) == pytest.approx([0, 1, 0, 1], abs=1e-3)
    assert (same["cka"], same["cka_calibrated"], same["p_cka"]) == pytest.approx((1, 1, 0.005))
    # y is linear in x, and not the reverse
    assert narrow["linear_flattened_b"] < 0.01
    assert narrow["linear_flattened_a"] > 0.3
    assert abs(apart["linear_flattened_b_calibrated"]) < 0.2
    assert apart["p_cka"] > 0.005
