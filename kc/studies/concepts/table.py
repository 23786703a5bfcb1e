"""Write Tables 2 and 3 of [C20], the values of all seeds, and the figures."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from types import MappingProxyType
from typing import Any

import pandas as pd

from kc.concepts.maps import read_maps
from kc.concepts.networks import read_concept_card
from kc.images import open_images
from kc.plans.concept_products import cells_of, concept_networks, layers_seen
from kc.provenance import code_hash, plain, versions
from kc.report.dots import DotRow, dots_figure
from kc.report.figures import write_figure
from kc.report.tables import Column, TableText, write_table
from kc.settings.concepts import Concepts
from kc.settings.whole import Settings
from kc.studies.concepts.notes import (
    MEASURES,
    accuracy_note,
    counting_notes,
    hypothesis_claims,
    hypothesis_notes,
    interval_note,
    speed_notes,
    teacher_notes,
    training_notes,
    untrained_note,
)
from kc.studies.concepts.numbers import (
    LETTERS,
    concepts_table2,
    concepts_table3,
    seeds_table,
)
from kc.studies.concepts.over_training import NAMES, distance_figure, maps_figure, shown_ids
from kc.studies.concepts.views import LayerView, by_cell, views
from kc.studies.verdicts import recorded

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
        "n_seeds": Column("seeds"),
        "dropped": Column("released selection drops", ".0%"),
        "top1": Column("top-1 (%)", ".1f"),
        "teacher": Column("teacher from"),
    }
)
PLOTS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "concepts_table2": ("n_fg", "concepts on the object, N_fg"),
        "concepts_table3": ("n_fg", "concepts on the object, N_fg"),
        "concepts_speed": ("d_ratio", "D(richest) / D(last): small means soon"),
        "concepts_detours": ("rho", "rho, share of concepts kept"),
    }
)
"""Figures of tables: measure and label of the axis."""


def write(settings: Settings) -> None:
    """Write ``tables/concepts_*`` and ``figures/concepts_*`` under the results folder."""
    about, results = settings.of(Concepts), settings.results
    third = views(about, results, "table3")
    same = cells_of(about, "table2") == cells_of(about, "table3")
    second = third if same else views(about, results, "table2")
    folder = results / "concepts" / "networks"
    cards = {plan.name: read_concept_card(plan, folder) for plan in concept_networks(about)}
    frames = _write_tables(settings, second, third, cards)
    seeds = frames["concepts_seeds"]
    for name, (measure, axis) in PLOTS.items():
        frame = frames.get(name, frames["concepts_table3"])
        start = about.of_table("table2" if name == "concepts_table2" else "table3").teacher
        rows = dot_rows(frame, seeds[seeds["teacher"] == start], measure)
        write_figure(dots_figure(rows, axis), results / "figures" / name)
    _write_figures(settings, third)


def _write_tables(
    settings: Settings,
    second: Sequence[LayerView],
    third: Sequence[LayerView],
    cards: Mapping[str, Mapping[str, Any]],
) -> dict[str, pd.DataFrame]:
    about = settings.of(Concepts)
    ends = [interval_note(about), accuracy_note(cards)]
    notes = {
        "concepts_table2": [
            *teacher_notes(second),
            *counting_notes(settings, second),
            *ends,
            *training_notes(settings, "table2"),
        ],
        "concepts_table3": [
            *hypothesis_notes(third),
            untrained_note(third),
            *speed_notes(settings),
            *counting_notes(settings, third),
            *ends,
            *training_notes(settings, "table3"),
        ],
        "concepts_seeds": [speed_notes(settings)[0]],
    }
    top1 = {name: float(card["accuracy"]["test"]) for name, card in cards.items()}
    frames = {
        "concepts_table2": concepts_table2(second),
        "concepts_table3": concepts_table3(third),
        "concepts_seeds": seeds_table([*second, *third], top1),
    }
    origin, claims = _origin(settings, cards), hypothesis_claims(third)
    for name, frame in frames.items():
        text = TableText(*TITLES[name], notes[name])
        stem = settings.results / "tables" / name
        told = recorded(claims) if name == "concepts_table3" else {}
        write_table(frame, stem, text, provenance=origin | told, columns=COLUMNS)
    return frames


TITLES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "concepts_table2": (
            "Concepts, Table 2: teacher, student and baseline",
            "Visual concepts at the last checkpoint, cells of a grid of 16 x 16; paper: "
            "the values printed in [C20, Table 2].",
        ),
        "concepts_table3": (
            "Concepts, Table 3: student and baseline over training",
            "Concepts at the last checkpoint, weight distance to the checkpoint with most "
            "concepts on the object, share of concepts kept; paper: [C20, Table 3].",
        ),
        "concepts_seeds": (
            "Concepts: every network",
            "Values of every network of Tables 2 and 3: means over its images, D_std the variance.",
        ),
    }
)
"""Title and caption of each table."""


def dot_rows(frame: pd.DataFrame, seeds: pd.DataFrame, measure: str) -> list[DotRow]:
    """Return a row for each row of a table: mean, interval, every seed's value, the printed one."""
    names = {LETTERS[role]: name for role, name in NAMES.items()}
    keys = ["dataset", "network", "layer", "role"]
    found = []
    for row in frame.to_dict("records"):
        own = seeds[(seeds[keys] == [row[key] for key in keys]).all(axis=1)]
        low, high = row[f"{measure}_low"], row[f"{measure}_high"]
        dots = own[measure].dropna().tolist() if len(own) > 1 else ()
        label = f"{row['dataset']} {row['network']} {row['layer']}"
        paper = row.get(f"paper_{measure}", float("nan"))
        found.append(DotRow(label, row[measure], low, high, dots, paper, names[row["role"]]))
    return found


def _write_figures(settings: Settings, found: Sequence[LayerView]) -> None:
    """Write the figures over training: maps of the first seed's networks, curves of all seeds."""
    about, figures = settings.of(Concepts), settings.results / "figures"
    for place, some in groupby(
        by_cell(found), lambda views: (views[0].cell.dataset, views[0].cell.architecture)
    ):
        cells, stem = list(some), "_".join(place)
        images = open_images(settings.results / "images" / f"{place[0]}.json")["image"]
        for views_of in cells:
            view = views_of[0]
            ids = shown_ids(views_of, about.figure_images)
            places = [view.measured.ids.index(name) for name in ids]
            pictures = [images[int(view.measured.rows[one])] for one in places]
            file = figures / f"concepts_maps_{stem}_{view.cell.layer}"
            write_figure(maps_figure(view, pictures, places), file)
        write_figure(distance_figure(cells), figures / f"concepts_distance_{stem}")


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
