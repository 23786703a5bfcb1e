"""Say after each job of a run about how much time is left."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

WEIGHTS: Mapping[str, float] = {"train": 30.0, "fit": 12.0, "ladder": 12.0, "map": 20.0, "": 5.0}
"""Seconds for one product of a kind of job, until a job of the kind has ended."""


class RunJob(NamedTuple):
    """A job of the present run."""

    kind: str
    """First part of its rule's name: ``train``, ``fit``."""
    products: int
    """Number of its outputs, by which its time grows."""


class TimeLeft(logging.Handler):
    """Follows Snakemake's events; tells time left whenever a job ends.

    What jobs of a kind took so far, for each product, stands for those to come; kinds of which none
    has ended are scaled as the others were. As many jobs run side by side as did at most so far.
    """

    def __init__(
        self,
        jobs: Mapping[int, RunJob],
        say: Callable[[str], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(logging.INFO)
        self.jobs, self.say, self.clock = dict(jobs), say, clock
        self.total = len(self.jobs)
        self.started: dict[int, float] = {}
        self.took: dict[str, list[float]] = {}
        self.widest = 1

    def emit(self, record: logging.LogRecord) -> None:
        """Read an event of Snakemake's logger; others are left alone."""
        for number in getattr(record, "jobs", None) or ():
            if number in self.jobs:
                self.started[number] = self.clock()
        self.widest = max(self.widest, len(self.started))
        number = getattr(record, "job_id", None)
        if number in self.started:
            self._end(number)

    def _end(self, number: int) -> None:
        job, seconds = self.jobs.pop(number), self.clock() - self.started.pop(number)
        self.took.setdefault(job.kind, []).append(seconds / job.products)
        if self.jobs:
            done = self.total - len(self.jobs)
            self.say(f"{done} of {self.total} jobs done, about {spelled(self.left())} left")

    def left(self) -> float:
        """Return the seconds that the remaining jobs are expected to take."""
        rates = {kind: sum(some) / len(some) for kind, some in self.took.items()}
        scale = sum(rates.values()) / sum(_weight(kind) for kind in rates) if rates else 1.0
        now, rest = self.clock(), list[float]()
        for number, job in self.jobs.items():
            whole = rates.get(job.kind, scale * _weight(job.kind)) * job.products
            rest.append(max(0.0, whole - (now - self.started.get(number, now))))
        return max(sum(rest) / self.widest, max(rest, default=0.0))


def kind_of(rule: str) -> str:
    """Return the kind of a job from its rule's name, which a module may have given a prefix.

    >>> kind_of("fit_birds-seed0"), kind_of("kc_train_birds-vgg16_bn"), kind_of("stability")
    ('fit', 'train', 'stability')
    """
    parts = rule.split("_")
    return next((part for part in parts if part in WEIGHTS), parts[0])


def _weight(kind: str) -> float:
    return WEIGHTS.get(kind, WEIGHTS[""])


def spelled(seconds: float) -> str:
    """Format a duration for people.

    >>> spelled(40), spelled(600), spelled(7300)
    ('40 s', '10 min', '2 h 2 min')
    """
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 100 else f"{minutes} min"
