"""Headers and sentences that several studies' tables share."""

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
    "say nothing about other networks of the same kind: each number is of one pair of networks."
)
ONE_CHAIN = "One network a row: how far another seed would differ is not told by these numbers."


def unsettled(settled: Sequence[str], presets: Iterable[str]) -> tuple[str, ...]:
    """Count the fits that are not finished, with what helps; nothing where all are."""
    count = list(settled).count("no")
    if not count:
        return ()
    if set(presets) == {"released"}:
        return (
            "Preset released ends by its schedule, so none of its fits is known to be finished: "
            "their xdelta may be too large, and the orders stand where the schedule left them.",
        )
    return (
        f"Warning: {count} of {len(settled)} fits of g are not finished (settled: no): their "
        "xdelta is too large, and their orders stand where they stopped. Fix: a higher "
        "consistency.optimiser.epochs.",
    )
