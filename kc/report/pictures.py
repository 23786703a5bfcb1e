"""Draw pictures of feature maps: images with maps over them."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath

from kc.errors import FeatureError
from kc.report.choose import refuse_not_finite
from kc.report.figures import STYLE, literal

SCALE = (
    "All maps of one filter share one colour scale, centred at 0, in the feature's units. Maps are "
    "enlarged bilinearly to the image's size and laid over the image in grey."
)
"""Description of :func:`feature_maps` for captions."""

COLOURS = "RdBu_r"
OPACITY = 0.72
SMALL = 8
"""Font size in points; column heads are 1 larger."""
# inches
CELL, GAP, GROUP_GAP, MARGIN, HEAD = 1.15, 0.06, 0.16, 0.08, 0.28
BAR, BAR_GAP, BAR_LABELS = 0.09, 0.1, 0.66
TITLE, LINE = 1.1, 0.152
SLACK = 0.97
"""Text in a PNG, fitted to pixels, may be wider than the outlines that are measured."""


class Panel(NamedTuple):
    """One column of maps."""

    title: str
    """Head of the column, e.g. ``x*`` or ``x$^{(0)}$``."""
    maps: np.ndarray
    """(rows, h, w), floating point: one map for each image, of the row's filter."""


def feature_maps(
    images: UInt8[np.ndarray, "rows 3 y x"],
    panels: Sequence[Panel],
    row_titles: Sequence[str],
    filters: Int[np.ndarray, " titles"],
    *,
    caption: str,
) -> Figure:
    r"""Draw a row for each image: the image, then each panel's map of the row's filter over it.

    All maps of one filter share one scale, :math:`\pm\max|.|` over every panel and row that shows
    it, in the feature's units. Adjacent rows of one filter share a colour bar.

    Parameters
    ----------
    images
        (rows, 3, y, x), uint8, RGB.
    panels
        Columns, left to right; maps are (rows, h, w) of any size and enlarged to (y, x).
    row_titles
        Text left of each row, shown literally; broken into lines at spaces.
    filters
        (rows,): the filter (channel) each row shows.
    caption
        Text under the picture, wrapped at spaces (mathtext with spaces may be broken).

    Raises
    ------
    FeatureError
        Panels do not hold one map for each row, values are not finite, or the numbers of images,
        titles and filters differ.
    """
    _check_rows(images, panels, row_titles, filters)
    limits = _limits(panels, filters)
    with mpl.rc_context(STYLE):
        titles = ["\n".join(_wrap(literal(title), TITLE)) for title in row_titles]
        page = _page(images.shape[2:], len(panels), titles, filters, caption)
        figure = Figure(figsize=page.size)
        # otherwise matplotlib merges map and image in an SVG and applies the opacity twice
        figure.suppressComposite = True
        for begin, end in _runs(filters):
            number = int(filters[begin])
            for row in range(begin, end):
                line = page.cells(figure, row, 1 + len(panels))
                line[0].imshow(images[row].transpose(1, 2, 0))
                line[0].set_ylabel(titles[row], rotation=0, ha="right", va="center", fontsize=SMALL)
                for axes, panel in zip(line[1:], panels, strict=True):
                    _overlay(axes, images[row], panel.maps[row], limits[number])
                if row == 0:
                    for axes, head in zip(line, ["image", *(p.title for p in panels)], strict=True):
                        axes.set_title(head, fontsize=SMALL + 1, pad=4)
            _colour_bar(figure, line[1].images[1], page.bar(figure, begin, end), number)
        figure.text(
            MARGIN / page.size[0], MARGIN / page.size[1], "\n".join(page.caption), va="bottom",
            fontsize=SMALL, linespacing=1.25,
        )  # fmt: skip
    return figure


def enlarge_map(
    grid: Float[np.ndarray, "h w"], height: int, width: int
) -> Float[np.ndarray, "height width"]:
    """Enlarge a map bilinearly to (height, width) pixels; values stay at their cells' centres."""
    values = torch.from_numpy(grid.astype(np.float64))[None, None]
    large = torch.nn.functional.interpolate(values, (height, width), mode="bilinear")
    return np.asarray(large[0, 0])


class _Page(NamedTuple):
    """Layout in inches from the upper left corner."""

    size: tuple[float, float]
    cell: tuple[float, float]
    left: float
    """Left edge of the first column."""
    bar_left: float
    tops: list[float]
    caption: list[str]

    def axes(self, figure: Figure, x: float, y: float, width: float, height: float) -> Axes:
        across, down = self.size
        return figure.add_axes((x / across, 1 - (y + height) / down, width / across, height / down))

    def cells(self, figure: Figure, row: int, count: int) -> list[Axes]:
        """Add the axes of one row, without ticks."""
        places = [self.left + (CELL + GAP) * column for column in range(count)]
        found = [self.axes(figure, x, self.tops[row], *self.cell) for x in places]
        for axes in found:
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines["bottom"].set_visible(False)
        return found

    def bar(self, figure: Figure, begin: int, end: int) -> Axes:
        """Add the axes of the colour bar of rows begin to end - 1."""
        height = self.tops[end - 1] + self.cell[1] - self.tops[begin]
        inset = min(0.1 * height, 0.12)
        return self.axes(figure, self.bar_left, self.tops[begin] + inset, BAR, height - 2 * inset)


def _page(
    shape: tuple[int, ...],
    panels: int,
    titles: Sequence[str],
    filters: Int[np.ndarray, " rows"],
    caption: str,
) -> _Page:
    cell = CELL * shape[0] / shape[1]
    words = [_inches(line) for title in titles for line in title.split("\n")]
    left = 2 * MARGIN + max(words)
    bar_left = left + (CELL + GAP) * (1 + panels) - GAP + BAR_GAP
    across = bar_left + BAR + BAR_LABELS
    steps = np.where(np.diff(filters) != 0, GROUP_GAP, GAP) + cell
    tops = HEAD + np.concatenate([[0.0], np.cumsum(steps)])
    lines = [
        line
        for paragraph in caption.splitlines()
        for line in _wrap(paragraph, SLACK * (across - 2 * MARGIN))
    ]
    down = float(tops[-1]) + cell + 2 * MARGIN + LINE * len(lines)
    return _Page((across, down), (CELL, cell), left, bar_left, tops.tolist(), lines)


def _wrap(text: str, width: float) -> list[str]:
    """Break a text at spaces into lines of at most ``width`` inches; longer words stay whole."""
    blank = _inches("o o") - 2 * _inches("o")
    lines: list[str] = []
    used = 0.0
    for word in text.split():
        needed = _inches(word)
        if lines and used + blank + needed <= width:
            lines[-1] += f" {word}"
            used += blank + needed
        else:
            lines.append(word)
            used = needed
    return lines


def _inches(text: str) -> float:
    """Return the width of one line of small text, including mathtext."""
    return float(TextPath((0, 0), text, size=SMALL).get_extents().width) / 72 if text else 0.0


def _limits(panels: Sequence[Panel], filters: Int[np.ndarray, " rows"]) -> dict[int, float]:
    """Return each filter's largest |value| over all its maps; 1 if all are 0."""
    largest = np.max([np.abs(panel.maps).max((1, 2)) for panel in panels], axis=0)
    return {int(f): float(largest[filters == f].max()) or 1.0 for f in np.unique(filters)}


def _runs(filters: Int[np.ndarray, " rows"]) -> list[tuple[int, int]]:
    """Return first row and end of each run of rows with the same filter."""
    groups = [list(group) for _, group in groupby(range(len(filters)), lambda row: filters[row])]
    return [(group[0], group[-1] + 1) for group in groups]


def _overlay(
    axes: Axes,
    image: UInt8[np.ndarray, "3 y x"],
    grid: Float[np.ndarray, "h w"],
    limit: float,
) -> None:
    """Draw the image in pale grey and the map over it."""
    luma = np.tensordot([0.299, 0.587, 0.114], image / 255, 1)
    axes.imshow(luma, cmap="gray", vmin=-0.6, vmax=1.1)
    large = enlarge_map(grid, *luma.shape)
    axes.imshow(large, cmap=COLOURS, vmin=-limit, vmax=limit, alpha=OPACITY)


def _colour_bar(figure: Figure, drawn: Any, axes: Axes, number: int) -> None:
    limit = drawn.get_clim()[1]
    bar = figure.colorbar(drawn, cax=axes, ticks=[-limit, 0, limit])
    shown = np.format_float_positional(limit, precision=3, fractional=False, trim="-")
    bar.ax.set_yticklabels([f"\N{MINUS SIGN}{shown}", "0", shown], fontsize=SMALL)
    bar.ax.tick_params(length=2, pad=2)
    bar.outline.set_visible(False)
    axes.set_ylabel(f"filter {number}", fontsize=SMALL, labelpad=1)


def _check_rows(
    images: np.ndarray,
    panels: Sequence[Panel],
    row_titles: Sequence[str],
    filters: np.ndarray,
) -> None:
    counts = {"row_titles": len(row_titles), "filters": len(filters)}
    for name, count in counts.items():
        if count != len(images):
            raise FeatureError(
                f"{name}: {count} for {len(images)} images; expected one for each row. "
                "Fix: repeat a filter for each image that shows it."
            )
    if not panels or not len(images):
        raise FeatureError(
            f"{len(images)} images, {len(panels)} panels; expected at least one of each."
        )
    for panel in panels:
        if panel.maps.ndim != 3 or len(panel.maps) != len(images):
            raise FeatureError(
                f"panel '{panel.title}': shape {panel.maps.shape}; expected maps "
                f"({len(images)}, h, w), one for each image. Vectors and tokens have no map. "
                "Fix: take a convolutional layer, and one channel of each image."
            )
        refuse_not_finite(panel.maps, f"panel '{panel.title}'")
