"""Measures as functions of two representations: known answers, and the form ReSi calls."""

import math

import numpy as np
import pytest
import torch

from kc.errors import FeatureError
from kc.similarity.callables import MEASURES, split_rows
from kc.similarity.measures import NAMES

COUNT = 200
SHAPES = {"nd": (COUNT, 6), "ntd": (COUNT, 3, 6), "nchw": (COUNT, 6, 2, 2)}
QUICK = [name for name in MEASURES if name not in NAMES]


def drawn(seed: int, shape: str = "nd") -> np.ndarray:
    return np.random.default_rng(seed).normal(size=SHAPES[shape]).astype(np.float32)


def rotated(values: np.ndarray) -> np.ndarray:
    around = np.linalg.qr(np.random.default_rng(9).normal(size=(6, 6)))[0].astype(np.float32)
    axis = 1 if values.ndim == 4 else -1
    return np.moveaxis(np.moveaxis(values, axis, -1) @ around, -1, axis)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", QUICK)
def test_a_rotated_representation_is_the_same_and_an_independent_one_is_not(name: str, shape: str):
    measure, one = MEASURES[name], drawn(0, shape)
    same, other = measure(one, rotated(one), shape), measure(one, drawn(1, shape), shape)
    best = 1 if measure.larger_is_more_similar else 0
    assert same == pytest.approx(best, abs=0.02)
    if measure.larger_is_more_similar:
        assert other < 0.12
    else:
        assert other > 0.9


def test_a_missing_half_is_seen_in_one_direction():
    whole = drawn(0)
    part = whole[:, :3]
    for name in ("xdelta", "linear_flattened", "linear_share_positions"):
        measure = MEASURES[name]
        assert not measure.is_symmetric
        assert measure(whole, part, "nd") < 0.02
        assert measure(part, whole, "nd") == pytest.approx(0.5, abs=0.1)


def test_a_symmetric_measure_is_the_same_both_ways():
    one = drawn(0)
    other = one @ np.random.default_rng(3).normal(size=(6, 6)).astype(np.float32) + drawn(2)
    for measure in MEASURES.values():
        both = measure(one, other, "nd"), measure(other, one, "nd")
        if measure.is_symmetric:
            assert both[0] == pytest.approx(both[1], abs=1e-6), measure.name


@pytest.mark.parametrize("shape", SHAPES)
def test_every_measure_takes_arrays_and_tensors_and_returns_a_number(shape: str):
    one, other = drawn(0, shape), drawn(1, shape)
    for name in (*QUICK, "cka_positions", "linear_share_flattened"):
        found = MEASURES[name](torch.from_numpy(one), torch.from_numpy(other), shape)
        assert type(found) is float
        assert math.isfinite(found)
        assert found == pytest.approx(MEASURES[name](one, other, shape))


def test_rows_are_split_the_same_way_each_time_and_are_apart():
    (train, test), again = split_rows(50), split_rows(50)
    assert sorted([*train, *test]) == list(range(50))
    assert len(test) == 20
    assert np.array_equal(train, again[0])


def test_a_wrong_shape_is_one_clear_error():
    with pytest.raises(FeatureError, match=r"is 200 x 6; expected 4 dimensions for 'nchw'"):
        MEASURES["cka"](drawn(0), drawn(1), "nchw")
    with pytest.raises(FeatureError, match="shape 'nhwc'; expected one of nd, ntd, nchw"):
        MEASURES["cka"](drawn(0), drawn(1), "nhwc")
    with pytest.raises(FeatureError, match="200 rows of R and 20 of Rp"):
        MEASURES["cka"](drawn(0), drawn(1)[:20], "nd")
