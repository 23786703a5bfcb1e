"""The workflow's page: all tables, figures and kept fits in one folder."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from kc.plans.outputs import outputs_of, pictured
from kc.plans.products import FitPlan, merged
from kc.plans.studies import StudyPlan, plans
from kc.report.page import Drawing, Section, write_page
from kc.report.viewer import View
from kc.settings.concepts import TABLES as CONCEPT_TABLES
from kc.settings.concepts import concept_figures
from kc.settings.whole import Settings

TITLES: Mapping[str, str] = {
    "stability": "Stability",
    "diagnosis": "Diagnosis",
    "refinement": "Refinement",
    "redundancy": "Redundancy",
    "compression": "Compression",
    "born_again": "Born-again networks",
    "cross_task": "Two tasks",
    "orders": "Orders",
    "baselines": "Other measures",
    "concepts": "Visual concepts",
}
PLOTS: Mapping[str, str] = {
    "table1": "Table 1: test and training images, and the values printed in [L20].",
    "fig4_compression": "Share of x^Δ and accuracy over the share of weights removed.",
    "fig4_born_again": "Share of x^Δ and accuracy by generation.",
}
LEAD = (
    "What two networks both know of the same images, and what only one of them does: a feature x* "
    "is reconstructed from another network's feature x, order by order; the rest, x^Δ, is what "
    "the other network does not give."
)


def write(settings: Settings, captions: Mapping[str, str]) -> None:
    """Write ``report/index.html`` under the results folder.

    Parameters
    ----------
    captions
        A sentence or two on each study, by its name, ``concepts`` among them.

    Raises
    ------
    StoreError
        A table, figure or component store that is missing or damaged.
    """
    found = plans(settings)
    sections = [_of_study(settings, study, plan, captions) for study, plan in found.items()]
    write_page(
        settings.results / "report",
        title="Knowledge consistency",
        lead=LEAD,
        sections=[*sections, _of_concepts(settings, captions["concepts"])],
        views=list(views(settings, found)),
    )


def _of_study(
    settings: Settings, study: str, plan: StudyPlan, captions: Mapping[str, str]
) -> Section:
    told = dict(PLOTS)
    told |= {name: f"{_ends(fit)} Test images." for name, fit in pictured(study, plan)}
    files = [Path(name) for name in outputs_of(settings, study, plan)]
    return Section(
        study,
        TITLES[study],
        captions[study],
        [settings.results / file.with_suffix("") for file in files if file.suffix == ".md"],
        [
            Drawing(settings.results / file.with_suffix(""), told[file.stem])
            for file in files
            if file.suffix == ".png"
        ],
    )


def _of_concepts(settings: Settings, about: str) -> Section:
    tables = [settings.results / "tables" / name for name in CONCEPT_TABLES]
    figures = [settings.results / "figures" / name for name in concept_figures(settings.concepts)]
    drawings = [Drawing(stem, f"{about} File {stem.name}.") for stem in figures]
    return Section("concepts", TITLES["concepts"], about, tables, drawings)


def views(settings: Settings, found: Mapping[str, StudyPlan]) -> Iterator[View]:
    """Give every fit whose components are kept, with the studies it takes part in."""
    if settings.consistency.components == "none":
        return
    for fit in merged(fit for plan in found.values() for fit in plan.fits):
        if fit.keep:
            studies = [TITLES[study] for study, plan in found.items() if _takes_part(fit, plan)]
            layers = dict.fromkeys((fit.source_layer, fit.target_layer))
            yield View(
                pair=f"{fit.source.name} → {fit.target.name}",
                layer=" → ".join(layers),
                components=settings.results / "components" / f"{fit.name}.json",
                images=settings.results / "images" / f"{fit.target.dataset}.json",
                about=f"{_ends(fit)} Seen in: {', '.join(studies)}.",
            )


def _ends(fit: FitPlan) -> str:
    return (
        f"x*: {fit.target_layer} of {fit.target.name}; x: {fit.source_layer} of {fit.source.name}."
    )


def _takes_part(fit: FitPlan, plan: StudyPlan) -> bool:
    return fit.name in {own.name for own in plan.fits}
