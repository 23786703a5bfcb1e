"""Plan each study under the settings: its networks, and the fits between them.

The Snakefile reads this without torch. Rules and studies use the same plan, so they cannot differ.
"""

from collections.abc import Iterable
from functools import partial

from kc.errors import SettingsError
from kc.plans.products import NetworkPlan
from kc.plans.registry import STUDIES
from kc.plans.study import StudyPlan
from kc.settings.sections import NetworkStudy, nearest
from kc.settings.whole import Settings

LONGEST = 220
"""Most characters of a product's name: file names may have 255, with suffixes."""


def plan_of(settings: Settings, study: str) -> StudyPlan:
    """Return a study's plan.

    Raises
    ------
    SettingsError
        The study names an unknown data set, has no layers or tasks, or its names make file
        names that are too long.
    """
    section = settings.section(study)
    for where, dataset in section.datasets_named():
        if dataset not in settings.datasets:
            raise SettingsError(
                f"{study}.{where} '{dataset}' is not among datasets"
                f"{nearest(dataset, settings.datasets) or ';'} known: "
                f"{', '.join(sorted(settings.datasets))}"
            )
    others = {
        name: partial(plan_of, settings, name)
        for name, other in STUDIES.items()
        if not other.beside_others
    }
    plan = STUDIES[study].plan(section, others)
    if isinstance(section, NetworkStudy) and section.weights != "scratch":
        plan = plan.begun(section.weights)
    if not plan.networks and not plan.inputs:
        raise SettingsError(
            f"{study}: its layers or tasks are empty, so there is nothing to do. Fix: name one "
            "or more, or omit the key to use the default"
        )
    longest = max((fit.name for fit in plan.fits), key=len, default="")
    if len(longest) > LONGEST:
        raise SettingsError(
            f"{study}: the file name {longest[:40]}... has {len(longest)} characters, expected at "
            f"most {LONGEST}. Fix: shorter names of data set, layer or superclass"
        )
    return plan


def plans(settings: Settings) -> dict[str, StudyPlan]:
    """Return the plan of every study.

    Raises
    ------
    SettingsError
        As :func:`plan_of`, or pretrained weights are set that no study uses.
    """
    named = [name for name, about in settings.networks.items() if about.weights is not None]
    if named and not any("pretrained" in settings.section(study).starts() for study in STUDIES):
        raise SettingsError(
            f"networks.{named[0]}.weights is set, but every study trains from scratch, so it would "
            "have no effect. Fix: set weights: pretrained in the section of a study, such as "
            "diagnosis, or table3: {teacher: pretrained} in that of concepts; or omit it"
        )
    return {study: plan_of(settings, study) for study in STUDIES}


def datasets_of(settings: Settings, networks: Iterable[NetworkPlan]) -> list[str]:
    """List the data sets that networks are trained on, and the parts they are mixed from."""
    found = {network.dataset for network in networks}
    parts = {part for name in found for part in settings.datasets[name].parts}
    return sorted(found | parts)
