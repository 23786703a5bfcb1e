"""What a study is: its record, and its plan under given settings; without torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from kc.plans.products import FitPlan, NetworkPlan, networks_of
from kc.settings.sections import StudySection


@dataclass(frozen=True)
class StudyPlan:
    """The fits of a study by case, and what else it takes."""

    cases: Mapping[str, tuple[FitPlan, ...]]
    """Fits by what they stand for; each study names its own cases."""
    stores: bool = False
    """Whether the study reads the networks' features themselves."""
    others: tuple[NetworkPlan, ...] = field(default=())
    """Networks that take part in no fit."""
    inputs: tuple[str, ...] = field(default=())
    """Further files it reads, relative to the results folder."""
    figures: Mapping[str, str] = field(default_factory=dict)
    """Figures whose names depend on the settings, each with its caption."""
    climbed: tuple[FitPlan, ...] = field(default=())
    """Fits that have a ladder (:mod:`kc.consistency.rungs`) and repeats beside them."""
    repeats: int = 1
    """Fits of each of those with other seeds of g, its own among them."""

    @property
    def fits(self) -> tuple[FitPlan, ...]:
        """All fits of all cases."""
        return tuple(fit for case in self.cases.values() for fit in case)

    @property
    def networks(self) -> list[NetworkPlan]:
        """All networks, each once, in order."""
        return sorted({*networks_of(self.fits), *self.others})


type Others = Mapping[str, Callable[[], StudyPlan]]
"""Plans of the studies that stand beside no others, by name; made when they are asked for."""


@dataclass(frozen=True)
class Study[S: StudySection]:
    """The record of a study: all that rules, page, command and tests know of it.

    Its numbers, tables and figures are made by ``write(settings)`` of the module of its name in
    :mod:`kc.studies`, which nothing else names.
    """

    name: str
    """Of its rule, its settings and both of its modules."""
    place: int
    """Studies are listed and shown in this order."""
    title: str
    """Of its section of the page."""
    caption: str
    """What its tables and figures show, in a sentence or two."""
    settings: type[S]
    """The model of its section of ``config.yaml``."""
    plan: Callable[[S, Others], StudyPlan]
    """What it needs, from its section; only a study beside others asks for their plans."""
    tables: tuple[str, ...] = ()
    plots: Mapping[str, str] = field(default_factory=dict)
    """Figures made whatever the settings are, each with its caption."""
    pictures: str = ""
    """Beginning of the names of its pictures, one a kept fit; empty: it draws no components."""
    environment: Literal["report", "studies"] = "studies"
    """Conda environment; ``report``, without torch, where cards are all it reads."""
    beside_others: bool = False
    """Whether it depends on the settings of other studies."""
