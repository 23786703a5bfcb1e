"""Draw entropy maps, concepts and their union over training, and concepts against distance."""

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from jaxtyping import Bool
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from torch import Tensor

from kc.concepts import Counts, kept_share, over_images
from kc.report.curves import LINES
from kc.report.figures import STYLE
from kc.settings.concepts import Role
from kc.studies.concepts.numbers import PAIR
from kc.studies.concepts.views import LayerView, Seen, shared_images

NAMES: Mapping[Role, str] = MappingProxyType(
    {"teacher": "teacher (T)", "student": "student (S)", "baseline": "baseline (B)"}
)
CONCEPT = ("#D55E00", "#0072B2")
"""Colours of concepts on the object and in the background, as in curves."""
MOST = 5
"""Most checkpoints of a figure of maps; first and last are among them."""
PANEL = 0.74
"""Side of a map, inches."""


def shown_ids(some: Sequence[LayerView], count: int) -> list[str]:
    """Choose images at evenly spaced ranks of their number of concepts.

    The number is that on the object at the last checkpoint, summed over teacher, student and
    baseline of all seeds, so that the choice favours no network; rank k of ``count`` images is at
    (k + 1/2) / count of the images.
    """
    total: Counter[str] = Counter()
    for view in some:
        for seen in view.seen.values():
            total.update(dict(zip(view.measured.ids, seen.n_fg[-1].tolist(), strict=True)))
    ranked = sorted(shared_images(some), key=lambda name: (total[name], name))
    number = min(count, len(ranked))
    return [ranked[int((k + 0.5) * len(ranked) / number)] for k in range(number)]


def maps_figure(view: LayerView, pictures: Sequence[np.ndarray], places: Sequence[int]) -> Figure:
    """Draw H and concepts of images over training, student and baseline side by side.

    As in [C20, Figs. 2, 4, 5]; all maps share one scale, dark is low. Foreground concepts are
    vermilion, background concepts blue; the object is outlined. After the last checkpoint stands
    the union of all concepts on the object after epoch 0, with rho.

    Parameters
    ----------
    pictures
        (3, y, x), uint8: images ``places`` of the view.
    """
    rows = _some(view.seen["baseline"].epochs)
    drawn = {"teacher": [len(view.seen["teacher"].epochs) - 1], **dict.fromkeys(PAIR, rows)}
    widths = [1.0, 1.0, *([1.0] * (len(rows) + 1) + [0.25]) * len(PAIR)][:-1]
    scale = _scale(view, places)
    with mpl.rc_context(STYLE):
        size = (PANEL * (sum(widths) + 1.2), 2 * PANEL * len(pictures) + 1.3)
        close = ConstrainedLayoutEngine(w_pad=0.01, h_pad=0.01, wspace=0.01, hspace=0.01)
        figure = Figure(figsize=size, layout=close)
        panels = figure.subplots(2 * len(pictures), len(widths), squeeze=False, width_ratios=widths)
        for axes in panels.flat:
            axes.set_axis_off()
        for turn, (picture, place) in enumerate(zip(pictures, places, strict=True)):
            above, below = panels[2 * turn], panels[2 * turn + 1]
            _picture(above[0], picture, view.measured.foreground[place].numpy())
            column = 1
            for role, chosen in drawn.items():
                shown = above[column:], below[column:]
                _network(*shown, view, role, chosen, picture, place, scale)
                _heads(above[column:], view, role, chosen, turn)
                column += len(chosen) + (2 if role in PAIR else 0)
        bar = figure.colorbar(above[1].images[0], ax=panels, shrink=0.5, pad=0.01)
        bar.set_label("H (nats); low: the layer keeps much of the cell", fontsize=8)
        bar.ax.tick_params(labelsize=8)
        width = int(13.5 * size[0])
        figure.supxlabel(
            textwrap.fill(_caption(view, len(pictures)), width), fontsize=8, x=0.01, ha="left"
        )
    return figure


def _some(epochs: Sequence[int]) -> list[int]:
    """Return the rows of at most ``MOST`` checkpoints, evenly spaced in their order."""
    return sorted({round(row) for row in np.linspace(0, len(epochs) - 1, min(MOST, len(epochs)))})


def _scale(view: LayerView, places: Sequence[int]) -> dict[str, float]:
    known = np.concatenate([seen.H[:, list(places)].numpy().ravel() for seen in view.seen.values()])
    return {"vmin": float(np.nanmin(known)), "vmax": float(np.nanmax(known))}


def _network(
    above: np.ndarray,
    below: np.ndarray,
    view: LayerView,
    role: Role,
    rows: Sequence[int],
    picture: np.ndarray,
    place: int,
    scale: Mapping[str, float],
) -> None:
    """Draw one network's maps above, its concepts below, and their union after the last."""
    seen, front = view.seen[role], view.measured.foreground[place]
    for column, row in enumerate(rows):
        above[column].imshow(seen.H[row, place].numpy(), cmap="cividis", **scale)
        _concepts(below[column], picture, front, _cells(seen.counts[row], place))
    if role in PAIR:
        after = [row for row, epoch in enumerate(seen.epochs) if epoch > 0]
        union = seen.concepts[after, place].any(0)
        end = len(rows)
        _concepts(below[end], picture, front, (union, torch.zeros_like(union)))
        rho = float(kept_share(seen.concepts[:, [place]], seen.epochs)[0])
        told = "no concept" if np.isnan(rho) else f"union\n$\\rho$ = {rho:.2f}"
        above[end].text(0.5, 0.05, told, ha="center", va="bottom", fontsize=8)


def _cells(counts: Counts, place: int) -> tuple[Bool[Tensor, "y x"], Bool[Tensor, "y x"]]:
    return counts.foreground[place], counts.background[place]


def _heads(axes: np.ndarray, view: LayerView, role: Role, rows: Sequence[int], turn: int) -> None:
    """Write network and epochs above the first image's maps."""
    if turn:
        return
    for column, row in enumerate(rows):
        name = f"{NAMES[role]}\n" if column == 0 else ""
        title = f"{name}epoch {view.seen[role].epochs[row]}"
        axes[column].set_title(title, fontsize=7, loc="left" if name else "center")


def _caption(view: LayerView, count: int) -> str:
    return (
        f"{view.name}, seed {view.seed}: entropy maps (above) and concepts (below) over training "
        f"of {count} images at evenly spaced ranks of the number of concepts on the object, summed "
        "over all networks. Vermilion: concepts on the object; blue: in the background; white "
        "line: the foreground on the grid; union: of the concepts on the object at all checkpoints "
        "after epoch 0, of which the last one has the share rho."
    )


def distance_figure(cells: Sequence[Sequence[LayerView]]) -> Figure:
    """Draw N_fg against the weight distance, a panel for each layer, as in [C20, Fig. 3].

    Shown are means over images of each seed's networks, the first one's with 95 % intervals over
    images, against the distance of the parameters up to the layer; a vertical line at D_mean, the
    mean over seeds.
    """
    with mpl.rc_context(STYLE | {"axes.spines.left": True}):
        width = max(2.7 * len(cells) + 0.6, 4.6)  # of the legend
        figure = Figure(figsize=(width, 2.9), layout="constrained")
        panels = figure.subplots(1, len(cells), sharey=True, squeeze=False)[0]
        for axes, views in zip(panels, cells, strict=True):
            for role, line in zip(PAIR, LINES, strict=False):
                for view in views[::-1]:
                    _curve(axes, view.seen[role], role, line, view is views[0])
                travelled = [v.seen[role].distance_up_to[v.seen[role].richest] for v in views]
                place = float(torch.stack([one.mean() for one in travelled]).mean())
                axes.axvline(place, color=line["color"], linewidth=0.8, linestyle=":")
            cell = views[0].cell
            axes.set_title(f"{cell.architecture}, {cell.layer}", loc="left", fontsize=9)
            axes.set_xlabel("weight distance up to the layer")
            axes.grid(axis="y", color="0.9", linewidth=0.6)
        panels[0].set_ylabel("concepts on the object, N_fg\n(mean, 95 % over images)")
        handles, labels = panels[0].get_legend_handles_labels()
        names = [*labels, "D_mean"]
        handles.append(mpl.lines.Line2D([], [], color="0.3", linewidth=0.8, linestyle=":"))
        figure.legend(handles, names, loc="outside upper center", ncols=3, frameon=False)
    return figure


def _curve(axes: Axes, seen: Seen, role: Role, line: Mapping[str, Any], first: bool) -> None:
    means = [over_images(counts.n_fg[counts.usable]) for counts in seen.counts]
    values = np.array([mean.value for mean in means])
    if not first:
        axes.plot(seen.distance_up_to, values, color=line["color"], linewidth=0.8, alpha=0.5)
        return
    errors = values - np.array([mean.low for mean in means])
    axes.errorbar(
        seen.distance_up_to, values, yerr=errors, label=NAMES[role], markersize=4,
        elinewidth=0.8, capsize=2, **line,
    )  # fmt: skip


def _picture(axes: Axes, picture: np.ndarray, front: np.ndarray) -> None:
    axes.imshow(picture.transpose(1, 2, 0))
    _outline(axes, front, picture.shape[1:])


def _concepts(
    axes: Axes,
    picture: np.ndarray,
    foreground: Bool[Tensor, "y x"],
    masks: tuple[Bool[Tensor, "y x"], Bool[Tensor, "y x"]],
) -> None:
    """Draw the image in grey with concept cells over it."""
    luma = np.tensordot([0.299, 0.587, 0.114], picture / 255, 1)
    axes.imshow(luma, cmap="gray", vmin=-0.4, vmax=1.3)
    cells = np.zeros((*foreground.shape, 4))
    for mask, colour in zip(masks, CONCEPT, strict=True):
        cells[mask.numpy()] = mpl.colors.to_rgba(colour, 0.8)
    height, width = luma.shape
    axes.imshow(cells, extent=(-0.5, width - 0.5, height - 0.5, -0.5), interpolation="nearest")
    _outline(axes, foreground.numpy(), luma.shape)


def _outline(axes: Axes, front: np.ndarray, shape: tuple[int, ...]) -> None:
    down, across = (np.arange(side) * len(front) // side for side in shape)
    axes.contour(front[down][:, across].astype(float), levels=[0.5], colors="white", linewidths=0.7)
