"""Collect what a study's table was made from; write the table with it."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from kc.names import BESIDE
from kc.plans.outputs import drawn_fits
from kc.plans.products import NetworkPlan
from kc.plans.registry import STUDIES
from kc.plans.study import StudyPlan
from kc.provenance import code_hash, plain, versions
from kc.report.tables import Column, TableText, write_table
from kc.settings.whole import Settings
from kc.store import open_store
from kc.studies.fits import read_card_beside, read_fit_card, read_network_card
from kc.studies.verdicts import Claim, recorded
from kc.studies.wording import unsettled

OF_FIT = (
    "key",
    "digest",
    "preset",
    "penalty",
    "gain",
    "settled",
    "p",
    "seconds",
    "device",
    "share_delta",
)
OF_NETWORK = ("key", "digest", "accuracy", "seconds", "device")


def write_study_table(
    settings: Settings,
    study: str,
    plan: StudyPlan,
    table: pd.DataFrame,
    text: TableText,
    columns: Mapping[str, Column],
    name: str = "",
    claims: Iterable[Claim] = (),
) -> None:
    """Write a table of a study; add the notes that all studies share.

    Parameters
    ----------
    name
        One of its tables or details; empty: its only table.
    claims
        What the table tests; its ``.json`` holds their rows.

    Raises
    ------
    StoreError
        A fit or network is missing, or is not what its name says.
    """
    if not name:
        (name,) = STUDIES[study].tables
    common = setting_notes(settings, plan.networks)
    write_table(
        table,
        settings.results / "tables" / name,
        text._replace(notes=[*settled_notes(settings, plan), *text.notes, *common]),
        provenance=origin(settings, study, plan) | recorded(claims),
        columns=columns,
    )


def origin(settings: Settings, study: str, plan: StudyPlan) -> dict[str, Any]:
    """Collect what all numbers of a study were made from.

    Raises
    ------
    StoreError
        A fit or network is missing, or is not what its name says.
    """
    results = settings.results
    fits = {fit.name: read_fit_card(fit, results) for fit in plan.fits}
    networks = {network.name: read_network_card(network, results) for network in plan.networks}
    cards = {"fits": list(fits.values()), "networks": list(networks.values())}
    return {
        "study": study,
        "settings": plain(settings),
        "code": code_hash(f"kc.studies.{study}"),
        "versions": versions(),
        "fits": {
            name: _only(card, OF_FIT) | {end: card[end]["digest"] for end in ("source", "target")}
            for name, card in fits.items()
        },
        "networks": {name: _only(card, OF_NETWORK) for name, card in networks.items()},
        "beside": {
            kind: {fit.name: read_card_beside(fit, kind, results)["digest"] for fit in plan.climbed}
            for kind in BESIDE
            if plan.climbed
        },
        "stores": {
            "images": {card["dataset"]: card["image_store"] for card in networks.values()},
            "activations": {
                card[end]["network"]: card[end]["digest"]
                for card in fits.values()
                for end in ("source", "target")
            },
            "components": _components(settings, study, plan),
        },
        "devices": sorted({str(card["device"]) for part in cards.values() for card in part}),
        "seconds": {
            name: round(sum(float(card["seconds"]) for card in part), 2)
            for name, part in cards.items()
        },
    }


def _components(settings: Settings, study: str, plan: StudyPlan) -> dict[str, str]:
    """Return the digests of the component stores that a study draws, by fit."""
    if settings.consistency.components == "none":
        return {}
    folder = settings.results / "components"
    kept = sorted({fit.name for fit in drawn_fits(study, plan)})
    return {name: open_store(folder / f"{name}.json").digest for name in kept}


def settled_notes(settings: Settings, plan: StudyPlan) -> tuple[str, ...]:
    """Return a note that counts the unfinished fits of a study, or nothing if all are finished."""
    cards = [read_fit_card(fit, settings.results) for fit in plan.fits]
    return unsettled([card["settled"] for card in cards], [card["preset"] for card in cards])


def setting_notes(settings: Settings, networks: Iterable[NetworkPlan]) -> tuple[str, ...]:
    """Describe in which settings images, networks and g differ from the paper's."""
    some = list(networks)
    notes = []
    for name in sorted({network.dataset for network in some}):
        about = settings.datasets[name]
        drawn = [part for part in about.parts or (name,) if settings.datasets[part].archive is None]
        made = "generated pictures" if drawn else "photographs"
        notes.append(f"Images: {made} ({name}), {about.size} px; the paper: photographs at 224 px.")
    widths = {
        network.architecture: settings.network(network.architecture).width for network in some
    }
    narrow = {name: width for name, width in sorted(widths.items()) if width != 1}
    if narrow:
        spelled = ", ".join(f"{name} {width:g}" for name, width in narrow.items())
        notes.append(f"Networks are narrower than the paper's; factor on channels: {spelled}.")
    scratch = sorted({network.architecture for network in some if network.weights == "scratch"})
    if scratch:
        notes.append(f"Trained from scratch, without ImageNet weights: {', '.join(scratch)}.")
    tuned = sorted({network.architecture for network in some if network.weights == "pretrained"})
    if tuned:
        shapes = {name: settings.network(name).started("pretrained") for name in tuned}
        told = ", ".join(f"{name} ({shape.weights})" for name, shape in shapes.items())
        notes.append(f"Fine-tuned from pretrained weights, with a new last layer: {told}.")
    if settings.training.augment:
        notes.append("Networks are trained with augmentation; the paper's are not.")
    g = settings.consistency
    if g.order != 2 or g.kernel_size != 3:
        notes.append(f"g has K = {g.order} and kernels of {g.kernel_size}; the paper: 2 and 3.")
    return tuple(notes)


def _only(card: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: card.get(name) for name in names}
