"""Simulate a run on more cores from the times its jobs took."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from kc.errors import StoreError

START = 4.0
"""Seconds that Snakemake and the imports of a job add to the time in its log."""
RULES: Mapping[str, str] = MappingProxyType(
    {
        "": "",
        "images": "images_",
        "networks": "train_",
        "activations": "record_",
        "fits": "fit_",
        "ladders": "ladder_",
        "concepts/train": "train_concepts_",
        "concepts/maps": "map_concepts_",
        "titrations": "titrate_",
    }
)
"""Beginning of a rule's name by the folder of its log, below ``logs``."""
_NODE = re.compile(r'^\s*(\d+)\[label = "([^"\\]+)')
_EDGE = re.compile(r"^\s*(\d+) -> (\d+)")
_DONE = re.compile(r"done in ([0-9.]+) s, peak memory")


class Job(NamedTuple):
    """A job of the workflow."""

    seconds: float
    needs: frozenset[str]
    """Names of the jobs whose results it reads."""


class Schedule(NamedTuple):
    """A simulated run."""

    seconds: float
    work: float
    """Seconds of all jobs, one after another."""
    chain: list[str]
    """The longest chain of jobs that wait for each other, which no number of cores shortens."""
    chain_seconds: float


def simulate(jobs: Mapping[str, Job], cores: int) -> Schedule:
    """Run jobs on ``cores`` as soon as what they need is there, longest remaining chain first."""
    below = _remaining(jobs)
    ends: dict[str, float] = {}
    waiting, now = dict(jobs), 0.0
    running: list[tuple[float, str]] = []
    while waiting or running:
        ready = [name for name, job in waiting.items() if job.needs <= ends.keys()]
        begun = sorted(ready, key=lambda one: -below[one])[: cores - len(running)]
        running.extend((now + waiting.pop(name).seconds, name) for name in begun)
        now, done = min(running)
        running.remove((now, done))
        ends[done] = now
    chain: list[str] = []
    step = max(below, key=lambda name: below[name], default=None)
    while step is not None:
        chain.append(step)
        after = [name for name, job in jobs.items() if step in job.needs]
        step = max(after, key=lambda name: below[name], default=None)
    work = sum(job.seconds for job in jobs.values())
    return Schedule(now, work, chain, max(below.values(), default=0.0))


def _remaining(jobs: Mapping[str, Job]) -> dict[str, float]:
    """Return the seconds of the longest chain that begins with each job."""
    after: dict[str, list[str]] = {name: [] for name in jobs}
    for name, job in jobs.items():
        for needed in job.needs:
            after[needed].append(name)
    found: dict[str, float] = {}

    def longest(name: str) -> float:
        if name not in found:
            rest = max((longest(one) for one in after[name]), default=0.0)
            found[name] = jobs[name].seconds + rest
        return found[name]

    for name in jobs:
        longest(name)
    return found


def read_jobs(graph: str, logs: Path) -> dict[str, Job]:
    """Return the jobs of ``snakemake --forceall --dag dot`` with the times in their logs.

    Raises
    ------
    StoreError
        A job that runs a script has no log of a run that ended.
    """
    names = {number: name for line in graph.splitlines() for number, name in _NODE.findall(line)}
    needs: dict[str, set[str]] = {number: set() for number in names}
    for line in graph.splitlines():
        for source, target in _EDGE.findall(line):
            needs[target].add(source)
    times = dict(_times(logs))
    # 'all' has no script
    missing = [name for name in names.values() if name not in times and name != "all"]
    if missing:
        others = f" and {len(missing) - 1} others" if len(missing) > 1 else ""
        raise StoreError(
            f"{logs}: no log of a finished job '{missing[0]}'{others}; expected those of a whole "
            "run. Fix: run the workflow with these settings first"
        )
    return {
        name: Job(times.get(name, 0.0), frozenset(names[one] for one in needs[number]))
        for number, name in names.items()
    }


def _times(logs: Path) -> Iterator[tuple[str, float]]:
    """Return the rules whose logs are there, with their seconds."""
    for folder, start in RULES.items():
        for path in sorted((logs / folder).glob("*.log")):
            if found := _DONE.findall(path.read_text(encoding="utf-8", errors="replace")):
                yield f"{start}{path.stem}", float(found[-1]) + START
