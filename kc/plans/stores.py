"""Find the jobs that read a store, so that it can be dropped when the last one is done.

The Snakefile reads this without torch.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from kc.plans.outputs import drawn_fits
from kc.plans.products import FitPlan, merged, networks_of
from kc.plans.study import StudyPlan
from kc.settings.whole import Settings

PAGE = "report"
"""Job of the page, which shows components."""


@dataclass(frozen=True)
class StoreUse:
    """A store and the jobs that read it."""

    kind: str
    """``activations`` or ``components``."""
    name: str
    pairs: tuple[str, ...] = field(default=())
    """Pairs of networks whose fits read it."""
    studies: tuple[str, ...] = field(default=())
    """Studies that read it, and the page."""

    @property
    def path(self) -> str:
        """Path of the manifest, relative to the results folder."""
        return f"{self.kind}/{self.name}.json"

    @property
    def marker(self) -> str:
        """Path of the note on its drop, relative to the results folder."""
        return f"{self.kind}/dropped/{self.name}.json"


def store_uses(settings: Settings, plans: Mapping[str, StudyPlan]) -> list[StoreUse]:
    """List the stores of a run with their readers, in the order of their names."""
    fits = merged(fit for plan in plans.values() for fit in plan.fits)
    found = [
        StoreUse(
            "activations",
            network.name,
            tuple(sorted({f.pair for f in fits if network in (f.source, f.target)})),
            tuple(
                name
                for name, plan in plans.items()
                if network in networks_of(plan.fits if plan.stores else plan.climbed)
            ),
        )
        for network in networks_of(fits)
    ]
    for fit in kept_fits(settings, fits):
        readers = [
            name
            for name, plan in plans.items()
            if fit.name in {own.name for own in drawn_fits(name, plan)}
        ]
        found.append(StoreUse("components", fit.name, (), (*readers, PAGE)))
    return found


def kept_fits(settings: Settings, fits: Iterable[FitPlan]) -> list[FitPlan]:
    """List the fits whose components are kept."""
    return [fit for fit in fits if fit.keep and settings.consistency.components != "none"]
