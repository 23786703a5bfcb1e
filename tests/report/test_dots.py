"""A table drawn as dots shows what its rows say."""

import math

import numpy as np
import pytest

from kc.report.dots import BELOW, DotRow, dots_figure

ROWS = [
    DotRow("a", 0.2, 0.1, 0.4, (0.15, 0.25), 0.3, "test"),
    DotRow("a", 0.1, group="train"),
    DotRow("b", -0.1, -0.3, 0.1, (), math.nan, "test"),
]


@pytest.fixture(scope="module")
def axes():
    return dots_figure(ROWS, "gain", zero=True).axes[0]


def drawn(axes):
    """Return the points of all markers, as (x, y)."""
    lines = [line.get_xydata() for line in axes.lines if line.get_marker() not in ("", "None", "|")]
    return {(round(float(x), 6), float(y)) for line in lines for x, y in line}


def test_means_single_values_and_printed_values_are_on_their_rows(axes):
    assert drawn(axes) >= {(0.2, 0), (0.15, BELOW), (0.25, BELOW), (0.3, 0), (0.1, 1), (-0.1, 2)}
    assert len([point for point in drawn(axes) if point[1] == 1]) == 1


def test_an_interval_has_its_ends_and_a_row_without_one_has_none(axes):
    ends = [bar[0].get_segments()[0][:, 0] for bar in (c[2] for c in axes.containers) if bar]
    np.testing.assert_allclose(sorted(map(tuple, ends)), [(-0.3, 0.1), (0.1, 0.4)])


def test_rows_of_one_label_share_it_and_the_first_is_on_top(axes):
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    assert list(axes.get_yticks()) == [0.5, 2]
    low, high = axes.get_ylim()
    assert low > high


def test_the_legend_names_groups_and_the_paper():
    legend = dots_figure(ROWS, "gain").legends[0]
    assert [text.get_text() for text in legend.get_texts()] == ["test", "train", "as printed"]
    assert not dots_figure([DotRow("b", 1.0)], "gain").legends
