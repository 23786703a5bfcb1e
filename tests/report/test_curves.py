"""Curves: points are at their values, lines differ, files are reproducible."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure

from kc.errors import SettingsError
from kc.report.curves import LINES, CurveAxis, curves_figure
from kc.report.figures import write_figure

REMOVED = [0.0, 0.5, 0.75, 0.9]
LAYERS = ["fc2", "fc1", "fc3"]
X = CurveAxis("removed", "share removed")
Y = CurveAxis("share", "Var(x$^\\Delta$) / Var(x*)")
LABELS = {"fc1": "FC1", "fc2": "FC2"}


def points() -> pd.DataFrame:
    rows = [
        (layer, x, 0.1 * (n + 1) + x**2, 0.8 - 0.3 * x)
        for n, layer in enumerate(LAYERS)
        for x in REMOVED
    ]
    return pd.DataFrame(rows, columns=["layer", "removed", "share", "accuracy"])


def drawn(frame: pd.DataFrame, y2: str | None = None) -> Figure:
    beside = None if y2 is None else CurveAxis(y2, "accuracy")
    return curves_figure(frame, X, Y, "layer", LABELS, beside)


def test_each_line_holds_its_points_in_order_of_x():
    shuffled = points().groupby("layer", sort=False).sample(frac=1, random_state=3)
    axes = drawn(shuffled).axes[0]
    for layer, line in zip(LAYERS, axes.lines, strict=True):
        rows = points()[points()["layer"] == layer]
        assert line.get_xdata().tolist() == REMOVED
        assert line.get_ydata().tolist() == rows["share"].tolist()
    assert axes.get_xlabel() == "share removed"
    assert axes.get_title(loc="left") == Y.label


def test_legend_names_the_lines_in_their_order():
    figure = drawn(points())
    legend = figure.legends[0]
    assert [text.get_text() for text in legend.get_texts()] == ["FC2", "FC1", "fc3"]
    for shown, line in zip(legend.get_lines(), figure.axes[0].lines, strict=True):
        assert (shown.get_color(), shown.get_marker()) == (line.get_color(), line.get_marker())


def test_lines_differ_also_without_colour():
    for part in ("color", "marker", "linestyle"):
        assert len({str(style[part]) for style in LINES}) == len(LINES)
    lines = drawn(points()).axes[0].lines
    assert [line.get_marker() for line in lines] == [style["marker"] for style in LINES[:3]]


def test_a_second_panel_shows_the_second_column():
    frame = points()
    frame.loc[0, "accuracy"] = 0.7
    figure = drawn(frame, "accuracy")
    left, right = figure.axes
    assert right.get_title(loc="left") == "accuracy"
    assert right.get_xlabel() == left.get_xlabel()
    assert [line.get_color() for line in right.lines] == [line.get_color() for line in left.lines]
    assert right.lines[0].get_ydata().tolist() == frame["accuracy"][:4].tolist()


def test_intervals_reach_from_low_to_high_and_single_values_are_dots():
    frame = points().assign(
        share_low=lambda f: f["share"] - 0.1, share_high=lambda f: f["share"] + 0.2
    )
    single = pd.concat([frame.assign(share=frame["share"] + more) for more in (-0.05, 0.05)])
    (axes,) = curves_figure(frame, X, Y, "layer", LABELS, single=single).axes
    assert len(axes.lines) == len(LAYERS)
    bars = [some for some in axes.collections if isinstance(some, LineCollection)]
    ends = np.array([segment[:, 1] for bar in bars for segment in bar.get_segments()])
    assert ends.tolist() == frame[["share_low", "share_high"]].to_numpy().tolist()
    dots = [some for some in axes.collections if isinstance(some, PathCollection)]
    assert len(dots) == len(LAYERS)
    for layer, some in zip(LAYERS, dots, strict=True):
        expected = single.loc[single["layer"] == layer, ["removed", "share"]].to_numpy()
        assert some.get_offsets().tolist() == expected.tolist()
    # without both, nothing but lines
    assert not curves_figure(points(), X, Y, "layer", LABELS).axes[0].collections


def test_points_are_joined_along_another_column():
    frame = points().assign(accuracy=lambda f: 1 - f["removed"])
    frame.loc[frame["removed"] == 0.5, "accuracy"] = 1.0  # two points at one x
    axis = CurveAxis("accuracy", "accuracy")
    line = curves_figure(frame, axis, Y, "layer", LABELS, along="removed").axes[0].lines[0]
    assert line.get_xdata().tolist() == [1.0, 1.0, 0.25, pytest.approx(0.1)]
    with pytest.raises(SettingsError, match="two points of layer 'fc2' at accuracy 1"):
        curves_figure(frame, axis, Y, "layer", LABELS)


def test_a_column_equal_for_all_lines_is_drawn_once():
    (line,) = drawn(points(), "accuracy").axes[1].lines
    assert line.get_xdata().tolist() == REMOVED
    assert line.get_ydata().tolist() == points()["accuracy"][:4].tolist()
    assert line.get_color() not in {style["color"] for style in LINES}


def test_lines_at_different_x_are_not_merged():
    frame = points().drop(index=[0, 2, 5, 7, 8, 10])
    assert len(drawn(frame, "accuracy").axes[1].lines) == 3
    single = points()[:4]
    (line,) = drawn(single, "accuracy").axes[1].lines
    assert line.get_color() == LINES[0]["color"]
    flat = points().assign(share=0.5)
    assert len(drawn(flat).axes[0].lines) == 3


def test_the_share_starts_at_zero_and_the_second_axis_does_not():
    left, right = drawn(points(), "accuracy").axes
    assert left.get_ylim()[0] == 0
    assert left.get_ylim()[1] > points()["share"].max()
    assert right.get_ylim()[0] > 0
    below = points()
    below.loc[0, "share"] = -0.2
    assert drawn(below).axes[0].get_ylim()[0] < -0.2
    assert drawn(points().assign(share=-1.0)).axes[0].get_ylim()[1] == 0


def test_a_least_value_of_zero_starts_the_axis_at_zero():
    frame = points().assign(share=lambda frame: frame["share"] - frame["share"].min())
    assert drawn(frame).axes[0].get_ylim()[0] == 0


def test_points_without_a_value_are_left_out():
    frame = points()
    frame.loc[1, "share"] = np.nan
    lines = drawn(frame).axes[0].lines
    assert lines[0].get_xdata().tolist() == [0.0, 0.75, 0.9]
    assert lines[1].get_xdata().tolist() == REMOVED


def test_generations_are_whole_numbers():
    frame = points().assign(removed=[0, 1, 2, 3] * 3).query("removed < 2")
    axes = drawn(frame).axes[0]
    assert all(float(tick).is_integer() for tick in axes.get_xticks())
    assert not all(float(tick).is_integer() for tick in drawn(points()).axes[0].get_xticks())


@pytest.mark.parametrize("lines", [1, 3, 7])
@pytest.mark.parametrize("y2", [None, "accuracy"])
def test_nothing_is_cut_off_and_the_panel_keeps_its_height(lines: int, y2: str | None):
    frame = pd.concat(
        points()[:4].assign(layer=f"layer{n}.{n}.add of resnet50") for n in range(lines)
    )
    figure = drawn(frame, y2)
    figure.draw_without_rendering()
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [axes.get_tightbbox(renderer) for axes in figure.axes]
    boxes.append(figure.legends[0].get_window_extent(renderer))
    for box in boxes:
        assert box.x0 >= -1
        assert box.y0 >= -1
        assert box.x1 <= figure.bbox.x1 + 1
        assert box.y1 <= figure.bbox.y1 + 1
    for axes in figure.axes:
        assert 1.5 < axes.get_window_extent(renderer).height / figure.dpi < 2.1


def test_the_same_points_give_the_same_bytes(tmp_path: Path):
    for name in ("a", "b"):
        write_figure(drawn(points(), "accuracy"), tmp_path / name)
    write_figure(drawn(points().assign(share=0.5), "accuracy"), tmp_path / "c")
    for suffix in (".png", ".svg"):
        first, again, third = (
            (tmp_path / name).with_suffix(suffix).read_bytes() for name in ("a", "b", "c")
        )
        assert first == again
        assert first != third
    assert plt.get_fignums() == []


def test_frames_that_cannot_be_drawn_are_refused():
    with pytest.raises(SettingsError, match=r"columns \['accuracies'\] are not in the frame"):
        drawn(points(), "accuracies")
    with pytest.raises(SettingsError, match="0 rows, 0 of them without a layer"):
        drawn(points()[:0])
    nameless = points()
    nameless.loc[2, "layer"] = None
    with pytest.raises(SettingsError, match="12 rows, 1 of them without a layer"):
        drawn(nameless)
    many = pd.concat(points()[:4].assign(layer=f"l{n}") for n in range(8))
    with pytest.raises(SettingsError, match="layer: 8 lines; at most 7 can be distinguished"):
        drawn(many)
    twice = pd.concat([points(), points()[5:6].assign(share=0.9)])
    with pytest.raises(SettingsError, match=r"two points of layer 'fc1' at removed 0\.5"):
        drawn(twice)
