"""Write Tables 2 and 3 of [C20], and pictures of concepts over training."""

import textwrap
from collections.abc import Mapping, Sequence
from itertools import groupby
from types import MappingProxyType
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kc.concepts import over_images
from kc.concepts.maps import read_maps
from kc.concepts.networks import read_concept_card
from kc.images import open_images
from kc.plans.concept_products import concept_networks, layers_seen
from kc.provenance import code_hash, plain, versions
from kc.report.curves import LINES
from kc.report.figures import STYLE, write_figure
from kc.report.tables import Column, TableText, write_table
from kc.settings.concepts import Concepts, Role
from kc.settings.whole import Settings
from kc.studies.concepts.notes import (
    INTERVALS,
    MEASURES,
    accuracy_note,
    counting_notes,
    hypothesis_notes,
    speed_notes,
    teacher_notes,
    training_notes,
    untrained_note,
)
from kc.studies.concepts.numbers import (
    PAIR,
    LayerView,
    Seen,
    concepts_table2,
    concepts_table3,
    views,
)

COLUMNS: Mapping[str, Column] = MappingProxyType(
    {
        f"{start}{name}{end}": Column(f"{lead}{head}{tail}", spec)
        for name, (head, spec) in MEASURES.items()
        for start, lead in (("", ""), ("paper_", "paper "))
        for end, tail in (("", ""), ("_low", ", low"), ("_high", ", high"))
    }
    | {
        "n_images": Column("images"),
        "n_rho": Column("images with a rho"),
        "dropped": Column("released selection drops", ".0%"),
    }
)
NAMES: Mapping[Role, str] = MappingProxyType(
    {"teacher": "teacher (T)", "student": "student (S)", "baseline": "baseline (B)"}
)
CONCEPT = ("#D55E00", "#0072B2")
"""Colours of concepts on the object and in the background, as in curves."""


def write(settings: Settings) -> None:
    """Write ``tables/concepts_*`` and ``figures/concepts_*`` under the results folder."""
    about, results = settings.of(Concepts), settings.results
    found = views(about, results)
    plans = concept_networks(about)
    cards = {
        plan.name: read_concept_card(plan, results / "concepts" / "networks") for plan in plans
    }
    shared = [
        *counting_notes(settings, found),
        INTERVALS,
        accuracy_note(cards),
        *training_notes(settings),
    ]
    provenance = _origin(settings, cards)
    write_table(
        concepts_table2(found),
        results / "tables" / "concepts_table2",
        TableText(
            title="Concepts, Table 2: teacher, student and baseline",
            caption="Visual concepts at the last checkpoint, cells of a grid of 16 x 16; paper: "
            "the values printed in [C20, Table 2].",
            notes=[*teacher_notes(found), *shared],
        ),
        provenance=provenance,
        columns=COLUMNS,
    )
    write_table(
        concepts_table3(found),
        results / "tables" / "concepts_table3",
        TableText(
            title="Concepts, Table 3: student and baseline over training",
            caption="Concepts at the last checkpoint, weight distance to the checkpoint with most "
            "concepts on the object, share of concepts kept; paper: [C20, Table 3].",
            notes=[
                *hypothesis_notes(found),
                untrained_note(found),
                *speed_notes(settings),
                *shared,
            ],
        ),
        provenance=provenance,
        columns=COLUMNS,
    )
    figures = results / "figures"
    for (dataset, network), some in groupby(found, lambda view: (view.dataset, view.network)):
        images = open_images(results / "images" / f"{dataset}.json")["image"]
        views_of = list(some)
        for view in views_of:
            picture = images[int(view.measured.rows[_shown(view)])]
            stem = figures / f"concepts_maps_{dataset}_{network}_{view.layer}"
            write_figure(maps_figure(view, picture, _shown(view)), stem)
        stem = figures / f"concepts_distance_{dataset}_{network}"
        write_figure(distance_figure(views_of), stem)


def _origin(settings: Settings, cards: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Collect what all numbers were made from."""
    about, folder = settings.of(Concepts), settings.results / "concepts"
    kept = ("key", "digest", "accuracy", "seconds", "device")
    return {
        "study": "concepts",
        "settings": plain(settings),
        "code": code_hash("kc.studies.concepts"),
        "versions": versions(),
        "networks": {n: {key: card[key] for key in kept} for n, card in cards.items()},
        "maps": {
            plan.maps(layer): read_maps(plan, layer, folder / "maps").digest
            for plan in concept_networks(about)
            for layer in layers_seen(plan, about)
        },
        "stores": {
            "images": {card["dataset"]: card["image_store"] for card in cards.values()},
        },
        "devices": sorted({str(card["device"]) for card in cards.values()}),
        "seconds": {"networks": round(sum(float(card["seconds"]) for card in cards.values()), 2)},
    }


def _shown(view: LayerView) -> int:
    """Choose the image in which the teacher has most concepts on the object at the end."""
    return int(view.seen["teacher"].n_fg[-1].argmax())


def maps_figure(view: LayerView, picture: np.ndarray, place: int) -> Figure:
    """Draw H and the concepts of one image over training, for teacher, student and baseline.

    As in [C20, Figs. 2, 4, 5]; all maps share one scale, dark is low. Foreground concepts are
    vermilion, background concepts blue; the object is outlined.

    Parameters
    ----------
    picture
        (3, y, x), uint8: image ``place`` of the view.
    """
    epochs = view.seen["teacher"].epochs
    front = view.measured.foreground[place].numpy()
    maps = {role: seen.H[:, place].numpy() for role, seen in view.seen.items()}
    known = np.stack(list(maps.values()))
    scale = {"vmin": float(np.nanmin(known)), "vmax": float(np.nanmax(known))}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(0.95 * (len(epochs) + 1) + 1.3, 6.6), layout="constrained")
        panels = figure.subplots(2 * len(maps), len(epochs) + 1)
        for axes in panels.flat:
            axes.set_axis_off()
        _picture(panels[0, 0], picture, front)
        panels[0, 0].set_title("image", fontsize=8)
        for turn, (role, seen) in enumerate(view.seen.items()):
            above, below = panels[2 * turn], panels[2 * turn + 1]
            for axes, label in ((above[1], f"{NAMES[role]}\nH"), (below[1], "concepts")):
                axes.text(
                    -0.08, 0.5, label, transform=axes.transAxes, ha="right", va="center", fontsize=8
                )
            for column, epoch in enumerate(epochs):
                drawn = above[1 + column].imshow(maps[role][column], cmap="cividis", **scale)
                _concepts(below[1 + column], picture, front, seen, column, place)
                if turn == 0:
                    above[1 + column].set_title(f"epoch {epoch}", fontsize=8)
        bar = figure.colorbar(drawn, ax=panels, shrink=0.5, pad=0.01)
        bar.set_label("H (nats); low: the layer keeps much of the cell", fontsize=8)
        bar.ax.tick_params(labelsize=8)
        caption = (
            f"{view.dataset}, {view.network}, {view.layer}: entropy maps and concepts of the "
            "training image in which the teacher has most concepts on the object at the end. "
            "Vermilion: concepts on the object; blue: in the background; white line: the "
            "foreground on the grid."
        )
        width = int(12.5 * float(figure.get_size_inches()[0]))
        figure.supxlabel(textwrap.fill(caption, width), fontsize=8, x=0.01, ha="left")
    return figure


def distance_figure(found: Sequence[LayerView]) -> Figure:
    """Draw N_fg against the weight distance, a panel for each layer, as in [C20, Fig. 3].

    Shown are means over images with 95 % intervals, and a vertical line at D_mean.
    """
    with mpl.rc_context(STYLE | {"axes.spines.left": True}):
        figure = Figure(figsize=(2.7 * len(found) + 0.6, 2.9), layout="constrained")
        panels = figure.subplots(1, len(found), sharey=True, squeeze=False)[0]
        for axes, view in zip(panels, found, strict=True):
            for role, line in zip(PAIR, LINES, strict=False):
                seen = view.seen[role]
                means = [over_images(counts.n_fg[counts.usable]) for counts in seen.counts]
                values = np.array([mean.value for mean in means])
                errors = values - np.array([mean.low for mean in means])
                axes.errorbar(
                    seen.distance, values, yerr=errors, label=NAMES[role], markersize=4,
                    elinewidth=0.8, capsize=2, **line,
                )  # fmt: skip
                travelled = float(seen.distance[seen.richest].mean())
                axes.axvline(travelled, color=line["color"], linewidth=0.8, linestyle=":")
            axes.set_title(f"{view.network}, {view.layer}", loc="left", fontsize=9)
            axes.set_xlabel("weight distance")
            axes.grid(axis="y", color="0.9", linewidth=0.6)
        panels[0].set_ylabel("concepts on the object, N_fg\n(mean, 95 % over images)")
        handles, labels = panels[0].get_legend_handles_labels()
        names = [*labels, "D_mean"]
        handles.append(mpl.lines.Line2D([], [], color="0.3", linewidth=0.8, linestyle=":"))
        figure.legend(handles, names, loc="outside upper center", ncols=3, frameon=False)
    return figure


def _picture(axes: Axes, picture: np.ndarray, front: np.ndarray) -> None:
    axes.imshow(picture.transpose(1, 2, 0))
    _outline(axes, front, picture.shape[1:])


def _concepts(
    axes: Axes, picture: np.ndarray, front: np.ndarray, seen: Seen, row: int, place: int
) -> None:
    """Draw the image in grey with its concept cells over it."""
    luma = np.tensordot([0.299, 0.587, 0.114], picture / 255, 1)
    axes.imshow(luma, cmap="gray", vmin=-0.4, vmax=1.3)
    counts = seen.counts[row]
    cells = np.zeros((*front.shape, 4))
    for mask, colour in zip((counts.foreground, counts.background), CONCEPT, strict=True):
        cells[mask[place].numpy()] = mpl.colors.to_rgba(colour, 0.8)
    height, width = luma.shape
    axes.imshow(cells, extent=(-0.5, width - 0.5, height - 0.5, -0.5), interpolation="nearest")
    _outline(axes, front, luma.shape)


def _outline(axes: Axes, front: np.ndarray, shape: tuple[int, ...]) -> None:
    down, across = (np.arange(side) * len(front) // side for side in shape)
    axes.contour(front[down][:, across].astype(float), levels=[0.5], colors="white", linewidths=0.7)
