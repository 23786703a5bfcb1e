"""The workflow's page: all tables, figures and kept fits in one folder."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from kc.plans.outputs import outputs_of, pictured
from kc.plans.products import FitPlan, merged
from kc.plans.registry import STUDIES
from kc.plans.studies import plans
from kc.plans.study import StudyPlan
from kc.report.page import Drawing, PageSection, write_page
from kc.report.viewer import View
from kc.settings.whole import Settings

LEAD = (
    "What two networks both know of the same images, and what only one of them knows: a feature x* "
    "is reconstructed from another network's feature x, order by order; the rest, x^Δ, is not "
    "explained by the other network. Its share of the variance is the fraction of variance "
    "unexplained (FVU = 1 - R²)."
)


def write_overview(settings: Settings) -> None:
    """Write ``report/index.html`` under the results folder.

    Raises
    ------
    StoreError
        A table, figure or component store is missing or damaged.
    """
    found = plans(settings)
    write_page(
        settings.results / "report",
        title="Knowledge consistency",
        lead=LEAD,
        sections=[_section(settings, study, plan) for study, plan in found.items()],
        views=list(kept_views(settings, found)),
    )


def _section(settings: Settings, study: str, plan: StudyPlan) -> PageSection:
    about = STUDIES[study]
    told = {**about.plots, **plan.figures}
    told |= {name: f"{_ends(fit)} Test images." for name, fit in pictured(study, plan)}
    files = [Path(name) for name in outputs_of(settings, study, plan)]
    tables = [settings.results / file.with_suffix("") for file in files if file.suffix == ".md"]
    return PageSection(
        study,
        about.title,
        about.caption,
        [stem for stem in tables if stem.name in about.tables],
        [
            Drawing(settings.results / file.with_suffix(""), told[file.stem])
            for file in files
            if file.suffix == ".png"
        ],
        [stem for stem in tables if stem.name in about.details],
    )


def kept_views(settings: Settings, found: Mapping[str, StudyPlan]) -> Iterator[View]:
    """Return a view of every fit whose components are kept, with its studies."""
    if settings.consistency.components == "none":
        return
    for fit in merged(fit for plan in found.values() for fit in plan.fits):
        if fit.keep:
            names = [n for n, plan in found.items() if fit.name in {own.name for own in plan.fits}]
            studies = [STUDIES[name].title for name in names]
            layers = dict.fromkeys((fit.source_layer, fit.target_layer))
            yield View(
                pair=f"{fit.source.name} → {fit.target.name}",
                layer=" → ".join(layers),
                components=settings.results / "components" / f"{fit.name}.json",
                images=settings.results / "images" / f"{fit.target.dataset}.json",
                about=f"{_ends(fit)} Used in: {', '.join(studies)}.",
            )


def _ends(fit: FitPlan) -> str:
    return (
        f"x*: {fit.target_layer} of {fit.target.name}; x: {fit.source_layer} of {fit.source.name}."
    )
