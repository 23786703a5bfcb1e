"""The record of `baselines`: similarity measures for the pairs of other studies."""

from typing import Annotated

from pydantic import Field

from kc.errors import SettingsError
from kc.plans.study import Others, Study, StudyPlan
from kc.settings.sections import Distinct, Name, StudySection


class Baselines(StudySection):
    """Similarity measures for every pair of the studies named."""

    studies: Annotated[tuple[Name, ...], Field(min_length=1), Distinct] = (
        "stability",
        "diagnosis",
        "refinement",
        "compression",
        "born_again",
        "cross_task",
    )


def _plan(about: Baselines, others: Others) -> StudyPlan:
    """Take the pairs of other studies that were fitted on all training images.

    Raises
    ------
    SettingsError
        A study is unknown, depends on other studies itself, or fits no pairs.
    """
    cases = {}
    for name in about.studies:
        if name not in others:
            raise SettingsError(
                f"baselines.studies: no study '{name}'; there are {', '.join(others)}"
            )
        fits = others[name]().fits
        if not fits:
            raise SettingsError(
                f"baselines.studies: '{name}' fits no pairs of layers. Fix: leave it out"
            )
        cases[name] = tuple(fit for fit in fits if fit.images == "all" and not fit.only)
    return StudyPlan(cases, stores=True)


STUDY = Study(
    name="baselines",
    place=90,
    title="Similarity measures",
    caption="Similarity measures (CKA, SVCCA, CCA, Procrustes, the best linear map) and the share "
    "of x^Delta (fraction of variance unexplained), for every pair of the other studies.",
    settings=Baselines,
    plan=_plan,
    tables=("baselines",),
    beside_others=True,
)
