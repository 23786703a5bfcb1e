"""The files that each study's rule makes, under the results folder."""

from kc.plans.products import FitPlan
from kc.plans.registry import STUDIES
from kc.plans.study import StudyPlan
from kc.settings.whole import Settings

TABLE = ("csv", "md", "tex", "json")
FIGURE = ("png", "svg")


def outputs_of(settings: Settings, study: str, plan: StudyPlan) -> list[str]:
    """List the files of a study, relative to the results folder."""
    about = STUDIES[study]
    figures = [*about.plots, *plan.figures]
    if settings.consistency.components != "none":
        figures += [name for name, _ in pictured(study, plan)]
    names = (*about.tables, *about.details)
    tables = [f"tables/{name}.{suffix}" for name in names for suffix in TABLE]
    return tables + [f"figures/{name}.{suffix}" for name in figures for suffix in FIGURE]


def drawn_fits(study: str, plan: StudyPlan) -> list[FitPlan]:
    """List the fits whose components a study draws, so that they must be kept on disk."""
    return [fit for fit in plan.fits if fit.keep] if STUDIES[study].pictures else []


def pictured(study: str, plan: StudyPlan) -> list[tuple[str, FitPlan]]:
    """Return the pictures of a study: a file name, and the fit whose components it shows."""
    drawn, found = drawn_fits(study, plan), []
    for case, fits in plan.cases.items():
        for fit in fits:
            if fit in drawn:
                about = [STUDIES[study].pictures, case, fit.target.architecture, fit.target_layer]
                if case == study:
                    about.remove(case)
                found.append(("_".join(about).replace(".", "_"), fit))
    return found
