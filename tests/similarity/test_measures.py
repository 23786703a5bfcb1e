"""Every similarity measure compared with its formula, and its invariances."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import ortho_group

from kc.consistency.order import in_sequence
from kc.errors import FeatureError, StoreError
from kc.similarity.formulas import linear_cka, svcca, whiten
from kc.similarity.measures import MEASURES, MINIBATCH, NAMES, PATCHES, Measuring, similarities
from kc.similarity.minibatch import cka_matrix, minibatch_cka
from kc.similarity.moments import joint_moments
from kc.store import ArraySpec, StoreContent, StoreWriter, open_store
from tests.reference import plain_similarity as plain

N, TRAIN = 400, np.arange(400) < 250
TEST = ~TRAIN
LIKE = ("cka", "svcca", "mean_cca", "pwcca", "procrustes")


def pair(seed=0, source=(6,), target=(5,), noise=0.5, n=N):
    """Target: a linear function of the source, and noise; units of unequal scale and mean."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, *source))
    axis = 1 if len(source) != 2 else 2
    mixed = np.moveaxis(x, axis, -1) @ rng.normal(size=(x.shape[axis], target[axis - 1]))
    y = np.moveaxis(mixed, -1, axis)
    scale = np.moveaxis(1 + 3 * rng.random(target[axis - 1]) * np.ones((1,) * x.ndim), -1, axis)
    y = scale * (y + noise * rng.normal(size=y.shape)) + 2 * scale
    return x.astype(np.float32), y.astype(np.float32)


def compared(x, y, **how):
    return similarities(x, y, TRAIN[: len(x)], TEST[: len(x)], how=Measuring(**how))


def expected(x, y, rows):
    """Return every measure of one reading, from arrays in memory."""
    (x_test, y_test), (x_train, y_train) = ((rows(x[s]), rows(y[s])) for s in (TEST, TRAIN))
    return {
        "cka": plain.debiased_cka(x_test, y_test),
        "svcca": plain.svcca(x_test, y_test),
        "mean_cca": plain.mean_cca(x_test, y_test),
        "pwcca": plain.pwcca(x_test, y_test),
        "procrustes": plain.procrustes(x_test, y_test),
        "linear_share": plain.linear_share(x_train, y_train, x_test, y_test),
    }


SHAPES = {
    "vectors": ((6,), (5,)),
    "wider target": ((5,), (8,)),
    "equal": ((6,), (6,)),
    "tokens": ((3, 6), (3, 5)),
    "maps": ((6, 2, 3), (5, 2, 3)),
}


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("reading", ["positions", "flattened"])
def test_every_measure_equals_its_formula(kind, reading):
    x, y = pair(1, *SHAPES[kind])
    found = compared(x, y)
    for name, value in expected(x, y, getattr(plain, reading)).items():
        assert found[f"{name}_{reading}"] == pytest.approx(value, rel=1e-6, abs=1e-9), name


def test_a_source_of_another_size_is_resized_for_positions_and_not_flattened():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, 3, 5, 4)).astype(np.float32)
    y = plain.resized(x, 3, 3)[:, ::-1] + 0.3 * rng.normal(size=(N, 3, 3, 3))
    y = y.astype(np.float32)
    found = compared(x, y)
    resized = plain.resized(x.astype(np.float64), 3, 3)
    for name, value in expected(resized, y, plain.positions).items():
        assert found[f"{name}_positions"] == pytest.approx(value, rel=1e-5), name
    for name, value in expected(x, y, plain.flattened).items():
        assert found[f"{name}_flattened"] == pytest.approx(value, rel=1e-5), name


@pytest.mark.parametrize("side", [1, 3, 5])
def test_patches_are_the_neighbourhoods_of_a_convolution(side):
    """The target is a convolution of the source: patches miss the noise, positions more."""
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(size=(N, 3, 5, 5)).astype(np.float32))
    weight = torch.from_numpy(rng.normal(size=(4, 3, 3, 3)).astype(np.float32))
    y = torch.nn.functional.conv2d(x, weight, padding=1).numpy()
    y = y + 2 * rng.normal(size=y.shape).astype(np.float32)
    found = compared(x, y, kernel_size=side, block=50)
    rows = [plain.patches(x.numpy()[s], side) for s in (TRAIN, TEST)]
    targets = [plain.positions(y[s]) for s in (TRAIN, TEST)]
    wanted = plain.linear_share(rows[0], targets[0], rows[1], targets[1])
    assert found[PATCHES] == pytest.approx(wanted, rel=1e-6)
    if side == 1:
        assert found[PATCHES] == found["linear_share_positions"]
    else:
        assert found[PATCHES] == pytest.approx(4 / y.var(), abs=0.02)
        assert found["linear_share_positions"] > 0.7


@pytest.mark.parametrize("source", [(5,), (4, 5)])
def test_vectors_and_tokens_have_no_neighbours(source):
    x, y = pair(12, source, (*source[:-1], 6))
    found = compared(x, y)
    assert found[PATCHES] == found["linear_share_positions"]
    if len(source) == 1:
        for name in MEASURES:
            assert found[f"{name}_flattened"] == found[f"{name}_positions"]


def test_blocks_do_not_change_the_numbers():
    x, y = pair(2, (6, 2, 3), (5, 2, 3))
    whole, cut, one = (compared(x, y, block=block) for block in (10_000, 7, 1))
    pd.testing.assert_series_equal(cut, whole, rtol=1e-11)
    pd.testing.assert_series_equal(one, whole, rtol=1e-11)


def test_a_large_mean_loses_no_digits():
    x, y = pair(3)
    x, y = x.astype(np.float64).round(2), y.astype(np.float64).round(2)
    moved = joint_moments(lambda: [(torch.from_numpy(x + 1e6), torch.from_numpy(y - 1e6))])
    still = joint_moments(lambda: [(torch.from_numpy(x), torch.from_numpy(y))])
    assert linear_cka(moved) == pytest.approx(linear_cka(still), rel=1e-8)
    assert linear_cka(moved, debiased=False) == pytest.approx(plain.cka(x, y), rel=1e-8)


@pytest.mark.parametrize("minibatch", [16, 64, 10_000])
def test_minibatch_cka_equals_its_formula(minibatch):
    x, y = pair(4, (6, 2, 3), (5, 2, 3))
    found = compared(x, y, minibatch=minibatch)
    edges = in_sequence(np.flatnonzero(TEST), minibatch, 256).edges
    rows = [plain.flattened(v[TEST]) for v in (x, y)]
    assert found[MINIBATCH] == pytest.approx(plain.minibatch_cka(*rows, edges), rel=1e-9)
    if minibatch > N:
        assert found[MINIBATCH] == pytest.approx(found["cka_flattened"], rel=1e-9)


def test_minibatches_are_unbiased_and_the_biased_estimate_is_not():
    """Wide features that share little: batches of 16 still give the value of all rows."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, 40))
    y = np.c_[x[:, :8], rng.normal(size=(4000, 32))]
    rows = np.arange(4000)
    found = similarities(x, y, rows[:4], rows[4:], how=Measuring(minibatch=16))
    assert found[MINIBATCH] == pytest.approx(0.2, abs=0.02)
    assert found["cka_flattened"] == pytest.approx(0.2, abs=0.01)
    few = joint_moments(lambda: [(torch.from_numpy(x[:16]), torch.from_numpy(y[:16]))])
    assert linear_cka(few, debiased=False) > 0.5


def test_wide_features_are_split_and_have_the_minibatch_estimate_only(monkeypatch):
    x, y = pair(5, (6, 2, 3), (5, 2, 3))
    assert compared(x, y, width=36)[list(NAMES)].notna().all()
    whole = compared(x, y)
    monkeypatch.setattr("kc.similarity.minibatch.WIDTH", 7)
    found = compared(x, y, width=35)  # the source has 36
    assert found[MINIBATCH] == pytest.approx(whole[MINIBATCH], rel=1e-9)
    assert found[[f"{name}_flattened" for name in MEASURES]].isna().all()
    assert found[[f"{name}_positions" for name in MEASURES]].notna().all()
    assert list(found.index) == list(NAMES)


def test_a_feature_is_alike_itself_by_all_measures():
    x, _ = pair(6, (6, 2, 3), (5, 2, 3))
    found = compared(x, x)
    for name in NAMES:
        wanted = 0 if name.startswith("linear_share") else 1
        assert found[name] == pytest.approx(wanted, abs=1e-6), name


def test_units_a_million_times_smaller_count_as_much():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, 6))
    y = x @ rng.normal(size=(6, 5)) + 0.2 * rng.normal(size=(N, 5))
    small = x * np.array([1, 1, 1, 1e-6, 1e-6, 1e-6])
    found, wanted = (compared(each, y)["linear_share_positions"] for each in (small, x))
    assert wanted < 0.05
    assert found == pytest.approx(wanted, rel=1e-5)


def test_independent_features_have_nothing_in_common_but_for_the_bias_of_cca():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, N, 60))
    found = compared(x, y)
    assert found["cka_positions"] == pytest.approx(0, abs=0.03)
    assert found[MINIBATCH] == pytest.approx(0, abs=0.03)
    assert found["linear_share_positions"] > 1
    # 150 rows of 60 and 60 units: CCA and Procrustes are biased and give large values
    assert found["mean_cca_positions"] > 0.5
    assert found["procrustes_positions"] > 0.4
    moments = joint_moments(lambda: [(torch.from_numpy(x[TEST]), torch.from_numpy(y[TEST]))])
    assert linear_cka(moments, debiased=False) > 0.2


def changes(turn_source, turn_target, source=(6,), target=(6,)):
    """Return how far each measure changes when both features are rotated."""
    x, y = (side.astype(np.float64) for side in pair(7, source, target, noise=2.0))
    before, after = compared(x, y), compared(x @ turn_source, y @ turn_target)
    return {
        name: abs(after[f"{name}_positions"] - before[f"{name}_positions"]) for name in MEASURES
    }


def invertible(width, seed):
    """An invertible map whose directions differ tenfold in scale."""
    first, last = (ortho_group.rvs(width, random_state=seed + part) for part in (0, 1))
    return first @ np.diag(np.geomspace(1, 10, width)) @ last


SAME, OTHER = 2e-6, 0.01


def test_orthogonal_maps_change_only_pwcca():
    turns = [ortho_group.rvs(6, random_state=seed) for seed in (0, 1)]
    moved = changes(*turns)
    for name in ("cka", "svcca", "mean_cca", "procrustes"):
        assert moved[name] < SAME, name
    assert moved["pwcca"] > OTHER / 2
    # one mean for all units: in a rotated basis their means differ by other amounts
    assert moved["linear_share"] > OTHER


def test_scaling_changes_no_measure():
    moved = changes(3 * np.eye(6), 0.01 * np.eye(6))
    assert max(moved.values()) < SAME


def test_invertible_maps_leave_only_mean_cca_unchanged():
    moved = changes(invertible(6, 0), invertible(6, 5))
    assert moved["mean_cca"] < SAME
    for name in ("cka", "procrustes", "pwcca", "svcca", "linear_share"):
        assert moved[name] > OTHER, name


def test_offsets_of_units_leave_centred_measures_unchanged():
    x, y = (side.astype(np.float64) for side in pair(7, (6,), (6,), noise=2.0))
    shifts = np.random.default_rng(1).normal(size=(2, 6)) * 5
    before, after = compared(x, y), compared(x + shifts[0], y + shifts[1])
    for name in LIKE:
        assert after[f"{name}_positions"] == pytest.approx(before[f"{name}_positions"], abs=SAME)
    # Var is about one mean for all units, as for x^Delta: the target's spread grew
    assert after["linear_share_positions"] < before["linear_share_positions"] - OTHER


def test_minibatch_cka_has_the_invariances_of_cka():
    x, y = (side.astype(np.float64) for side in pair(7, (6,), (6,), noise=2.0))
    turns = [ortho_group.rvs(6, random_state=seed) for seed in (0, 1)]
    before = compared(x, y, minibatch=32)[MINIBATCH]
    same = compared(3 * x @ turns[0], 0.1 * y @ turns[1], minibatch=32)[MINIBATCH]
    assert same == pytest.approx(before, abs=SAME)
    moved = compared(x @ invertible(6, 0), y @ invertible(6, 5), minibatch=32)[MINIBATCH]
    assert abs(moved - before) > OTHER


def test_the_cka_matrix_holds_the_cka_of_each_pair():
    sides = [pair(seed, (6, 2, 2), (5, 2, 2)) for seed in (1, 2)]
    first = [torch.from_numpy(x) for x, _ in sides] + [torch.zeros(N, 3)]  # one that is constant
    second = [torch.from_numpy(y) for _, y in sides]
    edges = [(0, 150), (150, 300), (300, N)]
    found = cka_matrix(([x[a:b] for x in first], [y[a:b] for y in second]) for a, b in edges)
    for i, x in enumerate(first):
        for j, y in enumerate(second):
            wanted = minibatch_cka((x[a:b], y[a:b]) for a, b in edges)
            assert float(found[i, j]) == pytest.approx(wanted, rel=1e-12, nan_ok=True)
    assert found[2].isnan().all()
    assert found[:2].isfinite().all()


def test_the_linear_share_does_not_depend_on_the_basis_of_the_source():
    moved = changes(invertible(6, 0), np.eye(6))
    assert moved["linear_share"] < SAME
    assert moved["pwcca"] < SAME  # its weights are the target's
    assert moved["cka"] > OTHER


def test_pwcca_weighs_by_the_narrower_side():
    turn = invertible(8, 3)
    assert changes(np.eye(5), turn, (5,), (8,))["pwcca"] < SAME
    assert changes(turn, np.eye(5), (8,), (5,))["pwcca"] < SAME
    assert changes(invertible(5, 3), np.eye(8), (5,), (8,))["pwcca"] > OTHER


def test_linear_share_is_the_share_of_the_noise():
    """Zero-mean x, y = linear + independent noise of a known share [method, Sec. 5.2]."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6000, 8))
    y = x @ ortho_group.rvs(8, random_state=0) + rng.normal(size=(6000, 8))
    rows = np.arange(6000)
    found = similarities(x, y, rows[:4000], rows[4000:])
    assert found["linear_share_positions"] == pytest.approx(0.5, abs=0.02)
    fitted = similarities(x, y, rows[-40:], rows[:4000])
    assert fitted["linear_share_positions"] > 0.55  # 40 rows are few for 8 units


def test_dead_and_doubled_units_do_not_disturb():
    x, y = pair(8)
    found = compared(x, y)
    more = np.c_[x, np.zeros(N), x[:, :1]].astype(np.float32)
    again = compared(more, np.c_[y, np.full(N, 3.0)].astype(np.float32))
    for name in ("mean_cca", "pwcca"):
        assert again[f"{name}_positions"] == pytest.approx(found[f"{name}_positions"], rel=1e-6)
    assert np.isfinite(again.to_numpy()).all()


def test_cca_of_more_units_than_rows_is_nan():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, N, 80))
    found = compared(x, y)  # 150 test rows, 80 + 80 directions
    assert found[["mean_cca_positions", "pwcca_positions"]].isna().all()
    assert found["cka_positions"] == pytest.approx(0, abs=0.03)
    narrow = np.diag(np.r_[np.ones(10), np.full(70, 1e-3)])
    thin = compared(x @ narrow, y @ narrow)
    assert np.isnan(thin["mean_cca_positions"])
    assert 0 < thin["svcca_positions"] < 0.5  # ten directions hold 99 %


@pytest.mark.parametrize("target", [(105, 2, 2), (5, 2, 2)])
def test_fewer_rows_than_units_give_the_same_numbers(target):
    """440 units of 400 images, most of their variance in ten directions."""
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(N, 10))
    x, y = (
        (hidden @ rng.normal(size=(10, np.prod(shape)))).reshape(N, *shape)
        + 0.1 * rng.normal(size=(N, *shape))
        + rng.normal(size=shape)  # every unit has its own mean
        for shape in ((110, 2, 2), target)
    )
    x, y = x.astype(np.float32), (y**2).astype(np.float32)
    found = compared(x, y)
    wanted = expected(x, y, plain.flattened)
    for name in ("cka", "svcca", "procrustes", "linear_share"):
        if name != "svcca" or target[0] == 5:  # of 420 units 99 % take more than half the rows
            assert found[f"{name}_flattened"] == pytest.approx(wanted[name], rel=1e-5), name
    assert found[["mean_cca_flattened", "pwcca_flattened"]].isna().all()


def test_svcca_keeps_the_requested_share_of_the_variance():
    x, y = (torch.from_numpy(side).double() for side in pair(9))
    whitened = whiten(joint_moments(lambda: [(x, y)]))
    for kept in (0.3, 0.9, 0.99):
        assert svcca(whitened, kept) == pytest.approx(
            plain.mean_cca(x.numpy(), y.numpy(), kept), rel=1e-9
        )
    assert svcca(whitened, 0.3) != pytest.approx(svcca(whitened, 0.99))


def test_each_reading_has_its_rows():
    assert all(name.endswith(("_positions", "_patches", "_flattened")) for name in NAMES)
    assert {f"{name}_positions" for name in (*LIKE, "linear_share")} < set(NAMES)


def write_store(path, values, ids):
    dims = ("image", "channel", "y", "x")
    spec = ArraySpec("layer", dims, values.shape, "float32", statistics=True)
    rows = pd.DataFrame({"image_id": ids})
    with StoreWriter(path, path.name, StoreContent([spec], rows, 64)) as writer:
        for number in writer.missing():
            writer.write(number, {"layer": values[writer.rows(number)]})
        writer.finish()
    return open_store(path)["layer"]


def test_stored_layers_are_read_block_by_block_to_the_same_numbers(tmp_path):
    x, y = pair(10, (6, 2, 3), (5, 2, 3))
    ids = [f"{n:04d}.jpg" for n in range(N)]
    stored = [write_store(tmp_path / f"{n}.zarr", v, ids) for n, v in (("a", x), ("b", y))]
    wanted = compared(x, y)
    for memory in (0.0, 1.0):
        found = compared(*stored, memory_gb=memory, block_rows=64)
        pd.testing.assert_series_equal(found, wanted, check_exact=True)
    other = write_store(tmp_path / "c.zarr", y, ids[::-1])
    with pytest.raises(StoreError, match=r"different images .*row 0"):
        compared(stored[0], other)


def test_features_that_cannot_be_compared_are_refused():
    x, y = pair(11)
    with pytest.raises(FeatureError, match=r"^3 training and 150 test images are too few .*4 of"):
        similarities(x, y, np.arange(3), TEST)
    with pytest.raises(FeatureError, match=r"^1 images \(the first in row 250\) are among"):
        similarities(x, y, np.arange(251), TEST)
    with pytest.raises(FeatureError, match=r"target: no unit varies over the 250 training rows"):
        compared(x, np.full_like(y, 0.1))
    half = np.where(TRAIN[:, None], x, np.float32(0.1))
    with pytest.raises(FeatureError, match=r"source: no unit varies over the 150 test rows"):
        compared(half, y)
    broken = y.copy()
    broken[301, 2] = np.nan
    with pytest.raises(FeatureError, match=r"target: image in row 301 holds NaN"):
        compared(x, broken)
    with pytest.raises(FeatureError, match="features of the same kind"):
        compared(x[:, :, None, None], y)


def test_too_few_rows_for_the_unbiased_estimate_give_nan():
    x = torch.tensor([[1.0], [0.0], [0.0], [0.0]], dtype=torch.float64)
    assert np.isnan(linear_cka(joint_moments(lambda: [(x, x)])))


@pytest.mark.parametrize("units", [6, 500])
def test_the_linear_share_about_each_units_mean_equals_the_formula(units):
    """With more units than rows the target's columns are rotated, which changes no variance."""
    x, y = pair(3, (5,), (units,))
    y = y + np.linspace(-9, 9, units, dtype=np.float32)
    found = compared(x, y, centring="channel")["linear_share_positions"]
    solution = np.linalg.lstsq(
        *(np.float64(v[TRAIN]) - v[TRAIN].mean(0, np.float64) for v in (x, y)), rcond=1e-7
    )[0]
    left = y[TEST] - x[TEST].astype(np.float64) @ solution
    wanted = left.var(0).mean() / y[TEST].astype(np.float64).var(0).mean()
    assert found == pytest.approx(wanted, rel=1e-6)
    assert found > compared(x, y)["linear_share_positions"]
