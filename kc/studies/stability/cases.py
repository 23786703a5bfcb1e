"""Name the cases of Table 1, and write what n is in each."""

import pandas as pd

from kc.studies.intervals import LEAST, over_fits

CASES = {
    "untrained": "an untrained source",
    "initialization": "different initialisations",
    "training_data": "different training data",
    "same_start": "other half, same start",
    "same_half": "other start, same half",
    "itself": "the network itself",
}
"""What differs between the two networks, by case."""
CONTROLS = ("same_start", "same_half")
OVER_SPLITS = ("training_data", *CONTROLS)
ITSELF_AT_MOST = 0.01
"""Largest share that g may miss of the network itself."""


def case_notes(shares: pd.DataFrame) -> list[str]:
    """Write what n is in each case, and how intervals are made."""
    whole = shares[shares["images"] == "all"]
    sizes = {
        str(case): sorted(
            {_size(str(case), some) for _, some in group.groupby(["network", "layer"])}
        )
        for case, group in whole.groupby("case", sort=False)
    }
    notes = []
    if "initialization" in sizes:
        notes.append(_of_seeds(sizes["initialization"], _is_ring(whole)))
    splits = [case for case in OVER_SPLITS if case in sizes]
    if splits:
        counts = sorted({count for case in splits for count in sizes[case]})
        notes.append(_of_splits(splits, counts))
    if "untrained" in sizes:
        notes.append(
            "untrained: the first weights of one network reconstruct another, trained one, so "
            "this is what random features give; its batch norms have the statistics of their "
            "start. itself: a network reconstructs itself, by the same fit. One pair a layer each."
        )
    return notes + _inexact(whole)


def _size(case: str, fits: pd.DataFrame) -> int:
    ends = list(fits["source_network"]), list(fits["target_network"])
    return over_fits(case, *ends, list(fits["xdelta"])).n


def _is_ring(whole: pd.DataFrame) -> bool:
    """Return whether there are fewer than all ordered pairs of seeds."""
    fits = whole[(whole["case"] == "initialization") & (whole["subset"] == "test")]
    first = fits[
        fits["network"].eq(fits["network"].iloc[0]) & fits["layer"].eq(fits["layer"].iloc[0])
    ]
    m = len({*first["source_network"], *first["target_network"]})
    return len(first) < m * (m - 1)


def _of_seeds(counts: list[int], is_ring: bool) -> str:
    pairs = "all ordered pairs (of five networks: intervals a third narrower than on a ring)"
    how = "the jackknife over networks with t(n - 1)"
    if is_ring:
        pairs = "both directions of a ring"
        how = (
            "the jackknife over networks, its variance divided by its excess on a ring where "
            "networks alone differ, with the t of its degrees of freedom"
        )
    said = f"No interval where n is below {LEAST}: {how} needs {LEAST} networks."
    if counts[0] >= LEAST:
        said = (
            f"Interval, 95 %: {how}; pairs share networks, so pairs are not counted as n. "
            "Intervals of shares are symmetric on a log scale."
        )
    return (
        f"Different initialisations (initialization): n is the number of networks of different "
        f"seeds, {pairs}; here n = {' or '.join(map(str, counts))}. {said}"
    )


def _of_splits(cases: list[str], counts: list[int]) -> str:
    how = "the t interval over the half-splits' means"
    said = f"No interval where n is below {LEAST}: {how} needs {LEAST} half-splits."
    if counts[0] >= LEAST:
        said = (
            f"Interval, 95 %: {how}, on a log scale. All splits draw from one pool of images, so "
            "it is about other splits of these images and other seeds, not other images."
        )
    return (
        f"Different training data ({', '.join(cases)}): n is the number of random half-splits, "
        f"both directions of each; here n = {' or '.join(map(str, counts))}. {said}"
    )


def _inexact(whole: pd.DataFrame) -> list[str]:
    """Return a warning if g does not reproduce a network from itself."""
    itself = whole[(whole["case"] == "itself") & (whole["subset"] == "test")]
    missed = itself["xdelta"] / itself["target"]
    if not (missed > ITSELF_AT_MOST).any():
        return []
    return [
        f"Warning: g misses up to {missed.max():.3f} of a network's feature from that feature "
        f"itself, expected at most {ITSELF_AT_MOST}: its fits are not finished, and shares as "
        "small as this one mean nothing."
    ]
