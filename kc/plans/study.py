"""The record of a study, and its plan under given settings; without torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from kc.names import Start
from kc.plans.products import FitPlan, NetworkPlan, networks_of
from kc.settings.sections import StudySection


@dataclass(frozen=True)
class StudyPlan:
    """The fits of a study by case, and its other inputs."""

    cases: Mapping[str, tuple[FitPlan, ...]]
    """Fits by case; each study names its own cases."""
    stores: bool = False
    """Whether the study reads the networks' features."""
    inputs: tuple[str, ...] = field(default=())
    """Other files it reads, relative to the results folder."""
    figures: Mapping[str, str] = field(default_factory=dict)
    """Figures whose names depend on the settings, each with its caption."""
    climbed: tuple[FitPlan, ...] = field(default=())
    """Fits with a ladder (:mod:`kc.consistency.rungs`) and repeats."""
    repeats: int = 1
    """Number of seeds of g for each of these, the first one included."""

    def begun(self, weights: Start) -> "StudyPlan":
        """Return the plan with networks trained from other first weights."""

        def changed(fits: tuple[FitPlan, ...]) -> tuple[FitPlan, ...]:
            return tuple(fit.begun(weights) for fit in fits)

        cases = {name: changed(fits) for name, fits in self.cases.items()}
        return replace(self, cases=cases, climbed=changed(self.climbed))

    @property
    def fits(self) -> tuple[FitPlan, ...]:
        """All fits of all cases."""
        return tuple(fit for case in self.cases.values() for fit in case)

    @property
    def networks(self) -> list[NetworkPlan]:
        """All networks, each once, in order."""
        return networks_of(self.fits)


type Others = Mapping[str, Callable[[], StudyPlan]]
"""Plans of the studies that do not depend on others, by name, each as a function."""


@dataclass(frozen=True)
class Study[S: StudySection]:
    """The record of a study, which rules, page, command and tests read.

    ``write(settings)`` in the module of its name in :mod:`kc.studies` makes its tables and figures.
    """

    name: str
    """Name of its rule, its settings and both of its modules."""
    place: int
    """Studies are listed and shown in this order."""
    title: str
    """Title of its section of the page."""
    caption: str
    """What its tables and figures show, in a sentence or two."""
    settings: type[S]
    """The model of its section of ``config.yaml``."""
    plan: Callable[[S, Others], StudyPlan]
    """Function from its section to its plan; only ``beside_others`` uses the other plans."""
    tables: tuple[str, ...] = ()
    details: tuple[str, ...] = ()
    """Tables of single pairs or chains, which the page folds."""
    plots: Mapping[str, str] = field(default_factory=dict)
    """Figures that do not depend on the settings, each with its caption; one with the name of a
    table is shown above it."""
    pictures: str = ""
    """Prefix of its pictures, one per kept fit; empty if it draws no components."""
    environment: Literal["report", "studies"] = "studies"
    """Conda environment; ``report``, without torch, if it reads only cards."""
    beside_others: bool = False
    """Whether it depends on the settings of other studies."""
