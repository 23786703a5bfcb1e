"""Column headers and notes that several studies share."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from kc.report.tables import Column

ACCURACY: Mapping[str, Column] = MappingProxyType(
    {
        "top1": Column("top-1 (%)", ".1f"),
        "ci_low": Column("", ".1f"),
        "n": Column("test images"),
        "paper": Column("paper", ".2f"),
    }
    | {
        f"gain_over_{name}{end}": Column(f"gain over {name}{head}", "+.1f")
        for name in ("A", "B", "raw")
        for end, head in (("", ""), ("_low", ", low"), ("_high", ", high"))
    }
)
"""Columns of :func:`kc.studies.accuracies.accuracies`."""
INCONSISTENCY: Mapping[str, Column] = MappingProxyType(
    {
        "variance": Column("Var(xdelta) (feature's units squared)"),
        "share": Column("Var(xdelta) / Var(x*)", ".3f"),
        "share_train": Column("the same on training images", ".3f"),
        "top1": Column("top-1 (%)", ".1f"),
    }
)
"""Columns of :func:`kc.studies.inconsistent.inconsistencies`."""
TEST_BOOTSTRAP = (
    "Intervals, 95 %: the bootstrap over test images, paired for gains (percentage points). They "
    "do not cover other networks of the same kind: each number is of one pair of networks."
)
ONE_CHAIN = "One network in each row: these numbers do not show how much another seed would differ."


def unsettled(settled: Sequence[str], presets: Iterable[str]) -> tuple[str, ...]:
    """Return a note that counts unfinished fits, with a fix, or nothing if all are finished."""
    count = list(settled).count("no")
    if not count:
        return ()
    if set(presets) == {"released"}:
        return (
            "Preset released ends by its schedule, so none of its fits is known to be finished: "
            "their xdelta may be too large, and the orders are those at the end of the schedule.",
        )
    return (
        f"Warning: {count} of {len(settled)} fits of g are not finished (settled: no): their "
        "xdelta is too large, and their orders are those where they stopped. Fix: a higher "
        "consistency.optimiser.epochs.",
    )
