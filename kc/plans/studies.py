"""What each study needs: which networks, and which fits between them.

Pure bookkeeping over the settings, so that the Snakefile can read it without torch. Every study
module asks here for its own plan, so that rule and study cannot differ.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import permutations
from types import MappingProxyType
from typing import Any

from kc.errors import SettingsError
from kc.names import Architecture
from kc.plans.products import FitPlan, NetworkPlan, networks_of
from kc.settings.studies import Baselines, Redundancy
from kc.settings.whole import STUDIES, Settings

LONGEST = 220
"""Characters of a product's name; a file's may have 255, and suffixes follow."""


@dataclass(frozen=True)
class StudyPlan:
    """The fits of a study by case, and what else it takes."""

    cases: Mapping[str, tuple[FitPlan, ...]]
    """Fits by what they stand for; each study names its own cases."""
    stores: bool = False
    """Whether the study reads the networks' features themselves."""
    pictures: bool = False
    """Whether it draws components, which must then be kept on disk."""
    others: tuple[NetworkPlan, ...] = field(default=())
    """Networks that take part in no fit."""

    @property
    def fits(self) -> tuple[FitPlan, ...]:
        """All fits of all cases."""
        return tuple(fit for case in self.cases.values() for fit in case)

    @property
    def networks(self) -> list[NetworkPlan]:
        """All networks, each once, in order."""
        return sorted({*networks_of(self.fits), *self.others})


def plan_of(settings: Settings, study: str) -> StudyPlan:
    """Give a study's plan.

    Raises
    ------
    SettingsError
        A data set the study names is none of those described, it has no layers or tasks, or its
        names make file names that are too long.
    """
    for where, dataset in _datasets_named(getattr(settings, study)).items():
        check_dataset(settings, f"{study}.{where}", dataset)
    plan = _PLANS[study](settings)
    if not plan.networks:
        raise SettingsError(
            f"{study}: its layers or tasks are empty, so there is nothing to do. Cure: name one "
            "or more, or leave the key out to have the default"
        )
    longest = max((fit.name for fit in plan.fits), key=len, default="")
    if len(longest) > LONGEST:
        raise SettingsError(
            f"{study}: the file name {longest[:40]}... has {len(longest)} characters, expected at "
            f"most {LONGEST}. Cure: shorter names of data set, layer or superclass"
        )
    return plan


def check_dataset(settings: Settings, where: str, dataset: str) -> None:
    """Refuse a data set that setting ``where`` names and none of those described is.

    Raises
    ------
    SettingsError
        It is not described.
    """
    if dataset not in settings.datasets:
        close = difflib.get_close_matches(dataset, settings.datasets, n=1)
        hint = f", did you mean '{close[0]}'?" if close else ";"
        raise SettingsError(
            f"{where} '{dataset}' is not among datasets{hint} known: "
            f"{', '.join(sorted(settings.datasets))}"
        )


def _datasets_named(section: Any) -> dict[str, str]:
    """Give the data sets a study's settings name, by the key they stand under."""
    if isinstance(section, Redundancy):
        return {f"tasks.{name}.dataset": task.dataset for name, task in section.tasks.items()}
    return {} if isinstance(section, Baselines) else {"dataset": section.dataset}


def plans(settings: Settings) -> dict[str, StudyPlan]:
    """Give the plan of every study."""
    return {study: plan_of(settings, study) for study in STUDIES}


def datasets_of(settings: Settings, networks: Iterable[NetworkPlan]) -> list[str]:
    """List the data sets that networks are trained on, and the parts they are mixed from."""
    found = {network.dataset for network in networks}
    parts = {part for name in found for part in settings.datasets[name].parts}
    return sorted(found | parts)


def _stability(settings: Settings) -> StudyPlan:
    """Pair networks as [L20, Sec. 4.2]: case 1 all ordered pairs of seeds, case 2 halves."""
    study = settings.stability
    initialization: list[FitPlan] = []
    training_data: list[FitPlan] = []
    for architecture, layers in study.layers.items():
        networks = [NetworkPlan(study.dataset, architecture, seed) for seed in study.seeds]
        for layer in layers:
            for number, (a, b) in enumerate(permutations(networks, 2)):
                initialization.append(FitPlan(a, b, layer, layer, keep=number == 0))
                if study.half_images:
                    initialization.append(FitPlan(a, b, layer, layer, "half"))
            for index in range(study.half_splits):
                halves = [
                    NetworkPlan(study.dataset, architecture, index, f"{index}{part}")
                    for part in "ab"
                ]
                training_data += [FitPlan(a, b, layer, layer) for a, b in permutations(halves, 2)]
    return StudyPlan(
        {"initialization": tuple(initialization), "training_data": tuple(training_data)}
    )


def _diagnosis(settings: Settings) -> StudyPlan:
    """Reconstruct the strong network's features from the weak one's, and the other way round."""
    study = settings.diagnosis
    weak = NetworkPlan(study.dataset, study.weak, study.seed)
    strong = NetworkPlan(study.dataset, study.strong, study.seed)
    blind = FitPlan(weak, strong, study.weak_layer, study.strong_layer, keep=True)
    unreliable = FitPlan(strong, weak, study.strong_layer, study.weak_layer, keep=True)
    cases = {"blind_spots": (blind,), "unreliable": (unreliable,)}
    return StudyPlan(cases, stores=True, pictures=True)


def _refinement(settings: Settings) -> StudyPlan:
    study = settings.refinement
    fits = _reconstructions(study.dataset, study.layers, study.seeds)
    return StudyPlan({"refinement": fits}, stores=True)


def _redundancy(settings: Settings) -> StudyPlan:
    study = settings.redundancy
    cases = {
        name: _reconstructions(task.dataset, study.layers, study.seeds, task.superclass)
        for name, task in study.tasks.items()
    }
    return StudyPlan(cases, stores=True)


def _reconstructions(
    dataset: str,
    layers: Mapping[Architecture, tuple[str, ...]],
    seeds: tuple[int, int],
    only: str = "",
) -> tuple[FitPlan, ...]:
    """Let A of the first seed reconstruct B of the second."""
    found = []
    for name, some in layers.items():
        a, b = (NetworkPlan(dataset, name, seed) for seed in seeds)
        found += [FitPlan(a, b, layer, layer, only=only) for layer in some]
    return tuple(found)


def _compression(settings: Settings) -> StudyPlan:
    """Reconstruct the original's features from each pruned network's."""
    study = settings.compression
    original = NetworkPlan(study.dataset, study.architecture, study.seed)
    cases = {}
    for removed in study.removed:
        pruned = NetworkPlan(study.dataset, study.architecture, study.seed, removed=removed)
        cases[f"{removed:g}"] = tuple(
            FitPlan(pruned, original, layer, layer, keep=removed == max(study.removed))
            for layer in study.layers
        )
    return StudyPlan(cases, pictures=True)


def _born_again(settings: Settings) -> StudyPlan:
    """Reconstruct the last generation's features from each one's before it."""
    study = settings.born_again
    *earlier, last = [
        NetworkPlan(study.dataset, study.architecture, study.seed, generation=number)
        for number in range(1, study.generations + 1)
    ]
    cases = {
        str(network.generation): tuple(
            FitPlan(network, last, layer, layer, keep=network.generation == 1)
            for layer in study.layers
        )
        for network in earlier
    }
    return StudyPlan(cases, pictures=True)


def _cross_task(settings: Settings) -> StudyPlan:
    study = settings.cross_task
    a = NetworkPlan(study.dataset, study.architecture, study.seed)
    b = NetworkPlan(study.dataset, study.architecture, study.seed, task=study.task)
    cases = {
        name: tuple(FitPlan(*ends, layer, layer, keep=True) for layer in study.layers)
        for name, ends in (("b_from_a", (a, b)), ("a_from_b", (b, a)))
    }
    return StudyPlan(cases, pictures=True)


def _orders(settings: Settings) -> StudyPlan:
    study = settings.orders
    fits = _reconstructions(study.dataset, study.layers, study.seeds)
    return StudyPlan({"orders": tuple(replace(fit, keep=True) for fit in fits)}, pictures=True)


def _baselines(settings: Settings) -> StudyPlan:
    """Take the pairs of other studies that were fitted on all training images."""
    cases = {}
    for name in settings.baselines.studies:
        known = [study for study in _PLANS if study != "baselines"]
        if name not in known:
            raise SettingsError(
                f"baselines.studies: no study '{name}'; there are {', '.join(known)}"
            )
        fits = plan_of(settings, name).fits
        cases[name] = tuple(fit for fit in fits if fit.images == "all" and not fit.only)
    return StudyPlan(cases, stores=True)


_PLANS: Mapping[str, Callable[[Settings], StudyPlan]] = MappingProxyType(
    {
        "stability": _stability,
        "diagnosis": _diagnosis,
        "refinement": _refinement,
        "redundancy": _redundancy,
        "compression": _compression,
        "born_again": _born_again,
        "cross_task": _cross_task,
        "orders": _orders,
        "baselines": _baselines,
    }
)
