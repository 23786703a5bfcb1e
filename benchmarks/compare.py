"""Measure two sides of a ratio alternately in one run, and save median and spread."""

import argparse
import gc
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from tabulate import tabulate

from kc.provenance import versions
from kc.runtime import keep_freed_memory, use_threads
from kc.store.files import read_json, write_json_atomic

RESULTS = Path(__file__).parent / "results"
BUSY = 0.5
"""Load average of the minute before the start, above which the machine was busy."""

LOAD = "KC_BENCH_LOAD"
"""Environment variable: load before the first benchmark, since benchmarks add to it."""

Side = Callable[[], object]


class Target(NamedTuple):
    """Bounds that a ratio should keep."""

    at_least: float | None = None
    at_most: float | None = None

    def met(self, value: float) -> bool:
        low = self.at_least is None or value >= self.at_least
        return low and (self.at_most is None or value <= self.at_most)

    def __str__(self) -> str:
        parts = [f">= {self.at_least:g}"] if self.at_least is not None else []
        return " and ".join(parts + ([f"<= {self.at_most:g}"] if self.at_most is not None else []))


class Ratio(NamedTuple):
    """Seconds of one side divided by those of the other."""

    values: list[float]
    """By wall clock, one for each repeat."""
    processor: float | None = None
    """Median by processor time of this process, all threads: it hardly changes on a busy machine,
    but ignores parallel work and other processes."""


class Row(NamedTuple):
    """One line of the table."""

    name: str
    what: str
    against: str
    target: Target
    ratio: Ratio
    details: Mapping[str, Any] = MappingProxyType({})

    @property
    def median(self) -> float:
        return statistics.median(self.ratio.values)


class Times(NamedTuple):
    """Seconds of each side, for each repeat."""

    seconds: dict[str, list[float]]
    processor: dict[str, list[float]]

    def ratio(self, over: str, under: str) -> Ratio:
        """Divide the seconds of one side by those of the other, within each repeat."""
        by_clock, by_processor = (
            [a / b for a, b in zip(some[over], some[under], strict=True)]
            for some in (self.seconds, self.processor)
        )
        return Ratio(by_clock, round(statistics.median(by_processor), 3))

    def rates(self, count: float) -> dict[str, float]:
        """Return the median rate (count per second) of each side."""
        return {name: count / statistics.median(some) for name, some in self.seconds.items()}


def interleave(
    sides: Mapping[str, Side],
    repeats: int,
    before: Callable[[], object] = lambda: None,
    warm: int = 1,
) -> Times:
    """Time the sides in turn, forwards then backwards, so that a slow minute affects all of them.

    ``before`` runs untimed ahead of each side; the first ``warm`` rounds are not timed either.
    """
    times = Times({name: [] for name in sides}, {name: [] for name in sides})
    for repeat in range(-warm, repeats):
        for name in list(sides)[:: 1 if repeat % 2 else -1]:
            before()
            gc.collect()
            synchronise()
            begun, worked = time.perf_counter(), time.process_time()
            sides[name]()
            synchronise()
            if repeat >= 0:
                times.seconds[name].append(time.perf_counter() - begun)
                times.processor[name].append(time.process_time() - worked)
    return times


def synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def device_name(device: str = "cpu") -> str:
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name()
    if Path("/proc/cpuinfo").is_file():
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":")[1].strip()
    return platform.processor() or platform.machine()


def results_file(device: str = "cpu") -> Path:
    name = "".join(c if c.isalnum() else "-" for c in device_name(device).lower())
    return RESULTS / f"{'-'.join(part for part in name.split('-') if part)}.json"


def keep(rows: list[Row], load: float, device: str) -> Path:
    """Write rows into the JSON of the device, replacing rows of the same names."""
    path = results_file(device)
    found: dict[str, Any] = read_json(path) if path.is_file() else {}
    kept = found.get("rows", {})
    for row in rows:
        kept[row.name] = {
            "what": row.what,
            "against": row.against,
            "target": str(row.target),
            "ratio": {
                "median": row.median,
                "lowest": min(row.ratio.values),
                "highest": max(row.ratio.values),
                "repeats": len(row.ratio.values),
                "processor": row.ratio.processor,
            },
            "met": row.target.met(row.median),
            "details": dict(row.details),
            "load_before": round(load, 2),
            "machine_was_busy": load > BUSY,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": versions(),
        }
    about = {
        "device": device_name(device),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "rows": dict(sorted(kept.items())),
    }
    write_json_atomic(path, about)
    return path


def table(kept: Mapping[str, Any]) -> str:
    """Format the rows of a results file as a table."""
    lines = []
    for name, row in kept.items():
        ratio = row["ratio"]
        spread = f"{ratio['median']:.3g} ({ratio['lowest']:.3g} to {ratio['highest']:.3g})"
        busy = "yes" if row["machine_was_busy"] else "no"
        met = ("yes" if row["met"] else "NO") if row["target"] else ""
        processor = "" if ratio["processor"] is None else f"{ratio['processor']:.3g}"
        about = (name, row["what"], row["against"], row["target"])
        lines.append((*about, spread, met, processor, busy))
    heads = ["row", "what", "against", "target", "median (lowest to highest)", "met"]
    heads += ["by processor time", "busy"]
    return tabulate(lines, heads, "github", disable_numparse=True)


def as_a_job() -> None:
    """Set up the process like a job of the workflow."""
    use_threads(1)
    keep_freed_memory()


def main(make: Callable[[argparse.Namespace], list[Row]], **sizes: float | str) -> None:
    """Run one benchmark: read its sizes from the command line, save its rows and print them.

    It runs on one thread, unless the benchmark itself starts others.
    """
    load = float(os.environ.get(LOAD, os.getloadavg()[0]))
    parser = argparse.ArgumentParser()
    for name, value in sizes.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    arguments = parser.parse_args()
    as_a_job()
    rows = make(arguments)
    device = getattr(arguments, "device", "cpu")
    path = keep(rows, load, device)
    found = read_json(path)["rows"]
    print(table({row.name: found[row.name] for row in rows}))
    for row in rows:
        print(f"{row.name}: {json.dumps(dict(row.details))}")
