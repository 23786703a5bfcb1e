"""Which files each study's rule makes, under the results folder."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from kc.plans.products import FitPlan
from kc.plans.studies import StudyPlan
from kc.settings.concepts import TABLES as CONCEPT_TABLES
from kc.settings.concepts import concept_figures
from kc.settings.whole import Settings

TABLE = ("csv", "md", "tex", "json")
FIGURE = ("png", "svg")
TABLES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "stability": ("table1", "table2", "networks"),
        "diagnosis": ("diagnosis",),
        "refinement": ("table3",),
        "redundancy": ("table4",),
        "compression": ("compression",),
        "born_again": ("born_again",),
        "cross_task": ("cross_task",),
        "orders": (),
        "baselines": ("baselines",),
    }
)
PLOTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "stability": ("table1",),
        "compression": ("fig4_compression",),
        "born_again": ("fig4_born_again",),
    }
)
PICTURES: Mapping[str, str] = MappingProxyType(
    {
        "diagnosis": "fig3",
        "compression": "fig4_compression",
        "born_again": "fig4_born_again",
        "cross_task": "fig5",
        "orders": "fig1",
    }
)
"""Beginning of the names of a study's pictures, one a kept fit."""


def outputs_of(settings: Settings, study: str, plan: StudyPlan) -> list[str]:
    """List the files of a study, relative to the results folder."""
    figures = [*PLOTS.get(study, ())]
    if settings.consistency.components != "none":
        figures += [name for name, _ in pictured(study, plan)]
    return _files(TABLES[study], figures)


def concept_outputs(settings: Settings) -> list[str]:
    """List the files of the concepts study, relative to the results folder."""
    return _files(CONCEPT_TABLES, concept_figures(settings.concepts))


def _files(tables: Iterable[str], figures: Iterable[str]) -> list[str]:
    return [f"tables/{name}.{suffix}" for name in tables for suffix in TABLE] + [
        f"figures/{name}.{suffix}" for name in figures for suffix in FIGURE
    ]


def pictured(study: str, plan: StudyPlan) -> list[tuple[str, FitPlan]]:
    """Give the pictures of a study: a file name, and the fit whose components it shows."""
    if study not in PICTURES:
        return []
    found = []
    for case, fits in plan.cases.items():
        for fit in fits:
            if fit.keep:
                about = [PICTURES[study], case, fit.target.architecture, fit.target_layer]
                if case == study:
                    about.remove(case)
                found.append(("_".join(about).replace(".", "_"), fit))
    return found
