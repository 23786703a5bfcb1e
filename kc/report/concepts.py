"""Tables 2 and 3 of [C20] as files, and pictures of concepts over training."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from kc.concepts import over_images
from kc.concepts.maps import read_maps
from kc.concepts.networks import read_card
from kc.concepts_config import Role, concept_networks, layers_seen
from kc.config import Consistency, Recipe, Settings
from kc.images import open_images
from kc.plan import NetworkPlan
from kc.provenance import code_hash, plain, versions
from kc.report.curves import LINES
from kc.report.figures import STYLE, write_figure
from kc.report.origin import setting_notes
from kc.report.tables import Column, write_table
from kc.studies.concepts import (
    LATE,
    PAIR,
    Difference,
    LayerView,
    Seen,
    concepts_table2,
    concepts_table3,
    differences,
    views,
)
from kc.studies.printed_concepts import printed_dataset

_HEADS = {
    "n_fg": ("N_fg", ".1f"),
    "n_bg": ("N_bg", ".1f"),
    "lambda_ratio": ("lambda", ".3f"),
    "d_mean": ("D_mean", ".3f"),
    "d_std": ("D_std", ".3g"),
    "d_mean_released": ("D_mean released", ".3f"),
    "d_std_released": ("D_std released", ".3g"),
    "rho": ("rho", ".3f"),
}
COLUMNS: Mapping[str, Column] = MappingProxyType(
    {
        f"{start}{name}{end}": Column(f"{lead}{head}{tail}", spec)
        for name, (head, spec) in _HEADS.items()
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
HYPOTHESES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "Hypothesis 1 (S has more concepts on the object than B, and a larger share of them there)",
        ("n_fg", "n_bg", "lambda_ratio"),
    ),
    (
        "Hypothesis 2 (S learns its concepts sooner and all at once: smaller D_mean, D_std)",
        ("d_mean", "d_std", "d_mean_released", "d_std_released"),
    ),
    ("Hypothesis 3 (S takes fewer detours: larger rho)", ("rho",)),
)
"""The claims of [C20], each with what answers it."""
INTERVALS = (
    "Intervals, 95 %: over images (jackknife, t). They say nothing about training's randomness: "
    "every row is of one network."
)
CONCEPT = ("#D55E00", "#0072B2")
"""Colours of concepts on the object and behind it, as in curves."""


def write(settings: Settings) -> None:
    """Write ``tables/concepts_*`` and ``figures/concepts_*`` under the results folder."""
    about, results = settings.concepts, Path(settings.results)
    found = views(about, results)
    shared = [*_what_is_counted(settings, found), INTERVALS, *_setting_notes(settings)]
    provenance = _origin(settings)
    write_table(
        concepts_table2(about.dataset, found),
        results / "tables" / "concepts_table2",
        title="Concepts, Table 2: teacher, student and baseline",
        caption="Visual concepts at the last checkpoint, cells of a grid of 16 x 16; beside them "
        "the values printed in [C20, Table 2].",
        notes=[*_teacher_notes(found), *shared],
        provenance=provenance,
        columns=COLUMNS,
    )
    write_table(
        concepts_table3(about.dataset, found),
        results / "tables" / "concepts_table3",
        title="Concepts, Table 3: student and baseline over training",
        caption="Concepts at the last checkpoint, weight distance to the checkpoint of most "
        "concepts on the object, share of concepts kept; beside them [C20, Table 3].",
        notes=[*hypothesis_notes(found), _untrained_note(found), *_speed_notes(), *shared],
        provenance=provenance,
        columns=COLUMNS,
    )
    figures = results / "figures"
    images = open_images(results / "images" / f"{about.dataset}.json")["image"]
    for view in found:
        image = view.measured.rows[_shown(view)]
        stem = figures / f"concepts_maps_{view.network}_{view.layer}"
        write_figure(maps_figure(view, images[int(image)], _shown(view)), stem)
    for network in about.architectures:
        some = [view for view in found if view.network == network]
        write_figure(distance_figure(some), figures / f"concepts_distance_{network}")


def hypothesis_notes(found: Sequence[LayerView]) -> list[str]:
    """Answer the three hypotheses with the measured sign and interval, whatever it is."""
    away = [each for view in found for each in differences(view)]
    notes = []
    for claim, measures in HYPOTHESES:
        answers = [_answer(measure, away, "S - B") for measure in measures]
        notes.append(f"{claim}. {' '.join(answers)}")
    return notes


def _teacher_notes(found: Sequence[LayerView]) -> list[str]:
    """Say of [C20, Sec. 4.2] whether the teacher stands above the student, S above B."""
    pairs: dict[str, tuple[Role, Role]] = {"T - S": ("teacher", "student"), "S - B": PAIR}
    return [
        _answer(measure, [d for view in found for d in differences(view, pair)], name)
        for name, pair in pairs.items()
        for measure in ("n_fg", "lambda_ratio")
    ]


def _answer(measure: str, away: Sequence[Difference], pair: str) -> str:
    some = [each for each in away if each.measure == measure]
    head, spec = _HEADS[measure]
    signed = f"+{spec}"
    told = "; ".join(
        f"{d.network} {d.layer} {d.found.value:{signed}} "
        f"[{d.found.low:{signed}}, {d.found.high:{signed}}]"
        for d in some
    )
    held = sum(each.sign == each.claim for each in some)
    against = sum(each.sign == -each.claim for each in some)
    claimed = "above" if some[0].claim > 0 else "below"
    return (
        f"{head}, {pair} (claimed: {claimed} 0): {told}; as claimed in {held} of {len(some)}, "
        f"the opposite in {against}, open in {len(some) - held - against}."
    )


def _what_is_counted(settings: Settings, found: Sequence[LayerView]) -> list[str]:
    about = settings.concepts
    b = ", ".join(f"{name} {about.threshold(name):g}" for name in about.architectures)
    level = "of the image" if about.level == "image" else "averaged over images, as released"
    left = ", ".join(f"{view.network} {view.layer} {view.unusable}" for view in found)
    dropped = [share for view in found for share in view.dropped.values()]
    used = "used here" if about.effective else "not used here"
    return [
        f"A concept: a cell with Hbar - H > b nats, Hbar the background's mean entropy {level}; "
        f"b: {b}. Entropies by the preset '{about.entropy}'.",
        f"Images: the first {about.images} training images whose mask leaves cells both on the "
        "object and behind it; the same ones for all networks of a layer. Left out because the "
        "layer does not move at all with noise (s_f = 0), or there is no level, at a checkpoint "
        f"after epoch 0: {left}.",
        "The released code keeps only images whose background has no less entropy than the object "
        f"at late checkpoints (here: from {LATE:.0%} of the epochs on). That selects in favour of "
        f"the claim; {used}. It would drop {min(dropped):.0%} to {max(dropped):.0%} of the images "
        "of a network and layer.",
        _printed_note(about.dataset),
    ]


def _printed_note(dataset: str) -> str:
    shown = printed_dataset(dataset)
    if shown == dataset:
        return f"Printed values are those of '{dataset}'."
    return (
        f"Nothing is printed for '{dataset}' (VOC's part of Table 3 is missing from the text): "
        f"printed values are those of {shown.upper()}."
    )


def _untrained_note(found: Sequence[LayerView]) -> str:
    """Give the count at the first checkpoint beside the last: what training adds is the rest."""
    told = []
    for view in found:
        counts = view.seen["baseline"].n_fg.double().mean(1)
        told.append(f"{view.network} {view.layer} {counts[0]:.1f} to {counts[-1]:.1f}")
    epochs = found[0].seen["baseline"].epochs
    return (
        f"N_fg of the baseline from epoch {epochs[0]} to epoch {epochs[-1]}: {'; '.join(told)}. "
        "What a network with random weights shows (epoch 0) is no knowledge yet."
    )


def _speed_notes() -> list[str]:
    return [
        "D: distance of all parameters summed epoch by epoch over the norm of the initial ones, as "
        "printed; 'released': of the analysed layer's weight, step by step. The layers above a "
        "student's target stand still while it imitates, and count in the norm. D_std is a "
        "variance, as printed. Student and baseline are compared at the same epochs.",
        "rho: share of the concepts on the object ever seen at a checkpoint after epoch 0 that the "
        "last one still has; mean over images that ever showed one.",
    ]


def _setting_notes(settings: Settings) -> list[str]:
    about, lessons = settings.concepts, settings.concepts.training
    plans = [NetworkPlan(about.dataset, name, 0) for name in about.architectures]
    # the other studies' recipe and g have no part in this one
    own = settings.model_copy(update={"training": Recipe(), "consistency": Consistency()})
    rates = ", ".join(f"{layer} {rate:g}" for layer, rate in lessons.distil_rates.items())
    return [
        f"SGD for {lessons.epochs} epochs, the paper: 150; first rates: teacher "
        f"{lessons.teacher_rate:g}, baseline {lessons.baseline_rate:g}, student {rates}. "
        f"Checkpoints after epochs {', '.join(map(str, lessons.checkpoints))}.",
        *setting_notes(own, plans),
    ]


def _origin(settings: Settings) -> dict[str, Any]:
    """Gather what all numbers were made from."""
    about, folder = settings.concepts, Path(settings.results) / "concepts"
    plans = concept_networks(about)
    cards = {plan.name: read_card(plan, folder / "networks") for plan in plans}
    kept = ("key", "digest", "accuracy", "seconds", "device")
    return {
        "study": "concepts",
        "settings": {
            "concepts": plain(about),
            "dataset": plain(settings.datasets[about.dataset]),
            "networks": {name: plain(settings.network(name)) for name in about.architectures},
        },
        "code": code_hash("kc.report.concepts"),
        "versions": versions(),
        "networks": {n: {key: card[key] for key in kept} for n, card in cards.items()},
        "maps": {
            plan.maps(layer): read_maps(plan, layer, folder / "maps").digest
            for plan in plans
            for layer in layers_seen(plan, about)
        },
        "devices": sorted({str(card["device"]) for card in cards.values()}),
    }


def _shown(view: LayerView) -> int:
    """Choose the image in whose last map the teacher has most concepts on the object."""
    return int(view.seen["teacher"].n_fg[-1].argmax())


def maps_figure(view: LayerView, picture: np.ndarray, place: int) -> Figure:
    """Draw H and the concepts of one image over training, for teacher, student and baseline.

    As [C20, Figs. 2, 4, 5]; all maps share one scale, dark is low. Foreground concepts are
    vermilion, background concepts blue, the object is outlined.

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
        FigureCanvasAgg(figure)
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
            f"{view.network}, {view.layer}: entropy maps and concepts of one training image, that "
            "in which the teacher has most concepts on the object in the end. Vermilion: concepts "
            "on the object; blue: behind it; white line: the object's mask on the grid."
        )
        width = int(12.5 * float(figure.get_size_inches()[0]))
        figure.supxlabel(textwrap.fill(caption, width), fontsize=8, x=0.01, ha="left")
    return figure


def distance_figure(found: Sequence[LayerView]) -> Figure:
    """Draw N_fg against the weight distance, a panel a layer, as [C20, Fig. 3].

    Means over images with 95 % intervals; a vertical line at D_mean, where images are richest.
    """
    with mpl.rc_context(STYLE | {"axes.spines.left": True}):
        figure = Figure(figsize=(2.7 * len(found) + 0.6, 2.9), layout="constrained")
        FigureCanvasAgg(figure)
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
