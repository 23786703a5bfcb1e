"""Column headers and notes that several studies share."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from kc.report.tables import Column
from kc.settings.sections import Pairs
from kc.studies.intervals import LEAST, Estimate


def with_ends(name: str, header: str, spec: str) -> dict[str, Column]:
    """Return headers of a column and of the ends of its interval."""
    ends = {"": "", "_low": ", low", "_high": ", high"}
    return {f"{name}{end}": Column(f"{header}{text}", spec) for end, text in ends.items()}


_HALF = ", half-width over test images"
ACCURACY: Mapping[str, Column] = MappingProxyType(
    {
        "source_network": Column("A"),
        "target_network": Column("B"),
        "chain": Column("seed"),
        "top1": Column("top-1 (%)", ".1f"),
        "ci_low": Column("", ".1f"),
        "n_pairs": Column("pairs"),
        "half_width": Column(f"top-1{_HALF}", ".1f"),
        "test_images": Column("test images"),
        "paper": Column("paper", ".2f"),
        "paper_gain": Column("paper's gain", "+.1f"),
    }
    | {
        f"gain_over_{name}{end}": Column(f"gain over {name}{head}", spec)
        for name in ("A", "B", "raw")
        for end, head, spec in (
            ("", "", "+.1f"),
            ("_low", ", low", "+.1f"),
            ("_high", ", high", "+.1f"),
            ("_half_width", _HALF, ".1f"),
        )
    }
)
"""Columns of :func:`kc.studies.gains.pair_accuracies` and ``mean_accuracies``."""
INCONSISTENCY: Mapping[str, Column] = MappingProxyType(
    {
        "variance": Column("Var(xdelta) (feature's units squared)"),
        "share": Column("Var(xdelta) / Var(x*)", ".3f"),
        "share_train": Column("the same on training images", ".3f"),
        "chain": Column("seed"),
        "ci_low": Column("", ".3f"),
        "variance_low": Column("Var(xdelta), low"),
        "variance_high": Column("Var(xdelta), high"),
        **with_ends("top1", "top-1 (%)", ".1f"),
    }
)
"""Columns of :func:`kc.studies.inconsistent.inconsistencies` and ``mean_shares``."""
OVER_NETWORKS = (
    "Accuracies and gains (percentage points) are means over pairs. Intervals, 95 %: over networks "
    "(jackknife, n networks), for these test images. Half-widths over test images: half the "
    "interval of the bootstrap over test images, paired for gains, of one pair, on average."
)
OVER_PAIRS = (
    "Accuracies and gains (percentage points) are means over pairs, a weak and a strong network "
    "of each seed. Intervals, 95 %: t over these pairs, which share no network, for these test "
    "images. Half-widths over test images: half the interval of the bootstrap over test images, "
    "paired for gains, of one pair, on average."
)
ROLES = (
    "Each network is as often A as B, so A and B, and gains over A and over B, have the same mean; "
    "those of single pairs differ."
)
SAME_BASELINES = (
    "[L19] prints the same numbers as [L20]: its text leaves baselines as they were trained, that "
    "of [L20] trains them further. So the printed A and B stand beside both."
)


def with_interval(found: Estimate, spec: str = "+.1f") -> str:
    """Format a mean with its interval, if there is one."""
    mean = f"{found.mean:{spec}}"
    return mean if found.n < LEAST else f"{mean} [{found.low:{spec}}, {found.high:{spec}}]"


def pairs_note(seeds: Sequence[int], pairs: Pairs) -> str:
    """Describe which pairs of networks a table averages over."""
    which = {"all": "all ordered pairs", "ring": "both directions of a ring"}[pairs]
    return f"A, which reconstructs, and B: {which} among {len(seeds)} networks that differ in seed."


CHAINS = (
    "Means over chains of networks that share none, one of each seed (n); intervals, 95 %: t over "
    "chains, for shares and variances on a log scale."
)


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
