"""Tables 1 and 2, their networks and the figure, as files."""

from collections.abc import Mapping
from typing import Any

from kc.config import Settings
from kc.plan import stability_plan
from kc.provenance import code_hash, plain, versions
from kc.report.figures import stability_figure, write_figure
from kc.report.tables import Column, write_table
from kc.studies.stability import StabilityTables, stability_tables

COLUMNS: Mapping[str, Column] = {
    "mean": Column("Var(xdelta) / Var(x*)", ".3f"),
    "mean_of_sum": Column("Var(xdelta) / sum", ".3f"),
    "ci_low": Column("", ".3f"),
    "n_pairs": Column("pairs"),
    "positions_per_weight": Column("positions per weight"),
    "mean_half_images": Column("on half the images", ".3f"),
    "variance": Column("variance (feature's units squared)"),
    "share": Column("share of Var(x*)", ".3f"),
    "share_of_sum": Column("share of sum", ".3f"),
    "paper_share_of_sum": Column("paper's share of sum", ".3f"),
    "test_accuracy": Column("test accuracy (top-1, %)", ".1f"),
    "train_accuracy": Column("train accuracy (top-1, %)", ".1f"),
    "images": Column("training images"),
}
CAPTIONS = {
    "table1": (
        "Table 1: instability of training",
        "Share of a feature's variance that the same layer of another network, of another "
        "initialisation or trained on other images, cannot give through g; beside it the values "
        "printed in [L20, Table 1].",
    ),
    "table2": (
        "Table 2: magnitudes of the components",
        "Variance of the consistent components of each order (x0, x1, ...) and of the "
        "inconsistent one (xdelta), networks of different initialisations; beside it the values "
        "printed in [L20, Table 2].",
    ),
    "networks": ("Networks", "The networks behind Tables 1 and 2."),
}


def write_stability(settings: Settings) -> None:
    """Write ``tables/{table1,table2,networks}`` and ``figures/table1`` under the results folder.

    Raises
    ------
    StoreError
        A fit or network that is missing, or is not what its name says.
    """
    found = stability_tables(stability_plan(settings), settings.results)
    tables = settings.results / "tables"
    about = _provenance(settings, found)
    extra = {"table1": _setting_notes(settings), "table2": (), "networks": ()}
    for name, (title, caption) in CAPTIONS.items():
        write_table(
            getattr(found, name),
            tables / name,
            title=title,
            caption=caption,
            notes=[*found.notes[name], *extra[name]],
            provenance=about,
            columns=COLUMNS,
        )
    write_figure(stability_figure(found.table1), settings.results / "figures" / "table1")


def _setting_notes(settings: Settings) -> tuple[str, ...]:
    """Say what of images, networks and g is not the paper's, from the settings."""
    study, g = settings.stability, settings.consistency
    dataset = settings.datasets[study.dataset]
    made = "generated pictures" if dataset.archive is None else "photographs"
    notes = [
        f"Images: {made} ({study.dataset}), {dataset.size} px; the paper: CUB-200-2011 at 224 px."
    ]
    widths = {name: settings.network(name).width for name in study.layers}
    widths = {name: width for name, width in widths.items() if width != 1}
    if widths:
        spelled = ", ".join(f"{name} {width:g}" for name, width in widths.items())
        notes.append(f"Networks are narrower than the paper's; factor on channels: {spelled}.")
    if settings.training.augment:
        notes.append("Networks are trained with augmentation; the paper's are not.")
    if g.order != 2 or g.kernel_size != 3:
        notes.append(f"g has K = {g.order} and kernels of {g.kernel_size}; the paper: 2 and 3.")
    return tuple(notes)


def _provenance(settings: Settings, found: StabilityTables) -> dict[str, Any]:
    """Gather settings, digests, code, versions, devices and times of all that was read."""
    cards = {name: list(part.values()) for name, part in found.cards.items()}
    return {
        "settings": plain(settings),
        "code": code_hash("kc.report.stability"),
        "versions": versions(),
        "fits": {
            name: _only(card, ("key", "digest", "preset", "penalty", "p", "seconds", "device"))
            | {end: card[end]["digest"] for end in ("source", "target")}
            for name, card in found.cards["fits"].items()
        },
        "networks": {
            name: _only(card, ("key", "digest", "accuracy", "seconds", "device"))
            for name, card in found.cards["networks"].items()
        },
        "devices": sorted({str(card["device"]) for part in cards.values() for card in part}),
        "seconds": {
            name: round(sum(float(card["seconds"]) for card in part), 2)
            for name, part in cards.items()
        },
    }


def _only(card: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: card.get(name) for name in names}
