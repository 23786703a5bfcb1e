"""Write the tables and figures of `known_difference`."""

import pandas as pd
from matplotlib.figure import Figure

from kc.plans.commands import fix_at, remake
from kc.plans.records.known_difference import KnownDifference, titration_name
from kc.plans.studies import plan_of
from kc.plans.study import StudyPlan
from kc.report.curves import CurveAxis, curves_figure
from kc.report.dots import DotRow, dots_figure
from kc.report.figures import write_figure
from kc.report.tables import Column, TableText, write_table
from kc.settings.whole import Settings
from kc.store.product import read_card
from kc.studies.components import draw_components
from kc.studies.fits import read_network_card
from kc.studies.intervals import over_groups
from kc.studies.known_difference.contrasts import contrast_values, contrasts_table
from kc.studies.known_difference.notes import contrast_notes, handicap_notes, titration_notes
from kc.studies.known_difference.numbers import fits_table
from kc.studies.origin import origin, setting_notes, settled_notes

STUDY = "known_difference"
TITRATION = "titration.csv"
COLUMNS = {
    "value": Column("value", "+.3f"),
    "ci_low": Column("", "+.3f"),
    "n": Column("groups"),
    "effect": Column("in standard errors", "+.1f"),
    "power": Column("power", ".2f"),
    "smallest": Column("smallest detectable", ".3f"),
}
ACCURACIES = {
    "kind": Column("handicap"),
    "top1": Column("top-1 (%)", ".1f"),
    "ci_low": Column("", ".1f"),
    "n": Column("networks"),
    "images": Column("training images"),
}
MADE = {
    "truth": Column("true share", ".3f"),
    "upper": Column("at most", ".3f"),
    "g": Column("Var(xdelta) / Var(x*)", ".3f"),
    "linear": Column("missed by the best linear map", ".3f"),
    "linear_field": Column("missed by that of g's field", ".3f"),
    "cka": Column("1 - CKA", ".3f"),
}
LINES = {"g": "g", "linear": "best linear map", "cka": "1 - CKA"}


def write(settings: Settings) -> None:
    """Write the tables and figures of the study under the results folder.

    Raises
    ------
    StoreError
        A product is missing, damaged, or not what its name says.
    """
    plan, about = plan_of(settings, STUDY), settings.of(KnownDifference)
    fits = fits_table(settings, about)
    contrasts, networks = contrasts_table(fits), networks_table(settings, about, plan)
    made, digest = read_titration(settings, about)
    texts = {
        STUDY: ("Known differences", "Contrasts between fits, by measure, test images.",
                contrast_notes(about, contrasts)),
        "titration": ("Titration", "Measures of made differences whose size is known.",
                      titration_notes(made, settings.consistency.preset)),
        "handicaps": ("Handicapped networks", "Test accuracy of each group of networks.",
                      handicap_notes(about, networks)),
        f"{STUDY}_fits": ("Known differences: each fit", "Measures of each fit.",
                          ["h: handicapped, f: full, p: placebo; h_to_f: f's feature from h's."]),
    }  # fmt: skip
    frames = {STUDY: contrasts, "titration": made, "handicaps": networks, f"{STUDY}_fits": fits}
    columns = {STUDY: COLUMNS, "titration": MADE, "handicaps": ACCURACIES}
    settled, common = settled_notes(settings, plan), setting_notes(settings, plan.networks)
    provenance = origin(settings, STUDY, plan) | {"titration": digest}
    for name, (title, caption, notes) in texts.items():
        warnings = settled if name.startswith(STUDY) else ()
        write_table(
            frames[name],
            settings.results / "tables" / name,
            TableText(title, caption, [*warnings, *notes, *common]),
            provenance=provenance,
            columns=columns.get(name, {}),
        )
    figures = settings.results / "figures"
    write_figure(contrasts_figure(fits, contrasts), figures / STUDY)
    write_figure(titration_figure(made), figures / "titration")
    what = "Known differences: x$^\\Delta$ is what the handicapped network does not know."
    draw_components(settings, STUDY, plan, "parts", what)


def read_titration(settings: Settings, about: KnownDifference) -> tuple[pd.DataFrame, str]:
    """Read the titration's rows (:func:`kc.steps.titrations.titrate`) and their digest.

    Raises
    ------
    StoreError
        They are missing or damaged.
    """
    folder = settings.results / "titrations" / titration_name(about)
    card = folder / "card.json"
    found = read_card(folder, fix_at(card, remake(card)), [TITRATION])
    return pd.read_csv(folder / TITRATION), str(found["digest"])


def networks_table(settings: Settings, about: KnownDifference, plan: StudyPlan) -> pd.DataFrame:
    """Return a row for each kind of network: kind, top1 (test, %), interval, n, images."""
    rows = []
    kinds = ["", *(kind(factor) for factor in about.factors
                   for kind in (about.handicap, about.placebo))]  # fmt: skip
    for kind in dict.fromkeys(kinds):
        own = [network for network in plan.networks if network.handicap == kind]
        cards = [read_network_card(network, settings.results) for network in own]
        top1 = [float(card["accuracy"]["test"]) for card in cards]
        found = over_groups([network.name for network in own], top1)
        row = {"kind": kind or "full", "top1": found.mean}
        row |= {"ci_low": found.low, "ci_high": found.high, "n": found.n}
        rows.append(row | {"images": round(sum(card["images"] for card in cards) / len(cards))})
    return pd.DataFrame(rows)


def contrasts_figure(fits: pd.DataFrame, contrasts: pd.DataFrame) -> Figure:
    """Draw the contrasts: lines are measures, marks are contrasts, small dots single groups."""
    several = len(set(contrasts["part"])) > 1
    rows = []
    for row in contrasts.itertuples():
        dots = contrast_values(fits, str(row.part), str(row.contrast), str(row.measure))
        label = f"{row.part}: {row.measure}" if several else str(row.measure)
        ends = float(row.value), float(row.ci_low), float(row.ci_high)  # type: ignore[arg-type]
        rows.append(DotRow(label, *ends, dots, group=str(row.contrast)))
    return dots_figure(rows, "difference between fits, in units of the measure", zero=True)


def titration_figure(made: pd.DataFrame) -> Figure:
    """Draw each measure against the true share that was added; the diagonal is the truth."""
    added = made[made["part"] == "added"]
    points = added.melt("truth", list(LINES), "measure", "difference")
    figure = curves_figure(
        points,
        CurveAxis("truth", "true share added"),
        CurveAxis("difference", "measured difference"),
        "measure",
        LINES,
    )
    axes = figure.axes[0]
    axes.axline((0, 0), slope=1, color="0.6", linewidth=0.8, zorder=1)
    return figure
