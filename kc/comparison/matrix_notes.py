"""Footnotes of the table of many layers."""

from collections.abc import Sequence

from kc.comparison import notes
from kc.comparison.matrix_fits import MatrixFits
from kc.comparison.settings import CompareSettings
from kc.similarity.all_pairs import PERMUTED, PERMUTED_MAPS
from kc.similarity.gram_measures import NEAREST

CALIBRATED = (
    f"_calibrated: against the same layers with the source's images permuted ({PERMUTED} times, "
    f"for linear maps {PERMUTED_MAPS}): (s - s0) / (1 - s0), and for shares 1 - share / null "
    "share; 0: as unrelated layers, 1: equal; empty where the null leaves no room. p_: share of "
    "these permutations with at least this value, not corrected for the number of pairs."
)
FLATTENED = (
    "linear_flattened_b: share of Var(b's layer) that the best linear map of a's flattened layer "
    "misses (1 - R^2 about each unit's mean, test images); linear_flattened_a: from b's layer. "
    "Ridge; its strength is the best on the validation cut. "
    f"neighbours_flattened: share of the {NEAREST} nearest test images (Euclidean distance) that "
    "are the same in both layers."
)


def of_measured(why_not: str | None) -> list[str]:
    """Return the notes on the measures of all pairs; ``why_not``: why only CKA was computed."""
    batches = "averaged over batches of 256 test images" if why_not else "test images as rows"
    cka = (
        f"cka: linear CKA, debiased, {batches}, flattened features as stored; the same in both "
        "directions."
    )
    if why_not:
        return [
            cka,
            f"Linear maps, neighbours and permuted images are left out: {why_not}. Fix: fewer "
            "images or layers.",
        ]
    return [cka, FLATTENED, CALIBRATED]


def of_open(names: Sequence[str], made: int) -> str:
    """Return the warning on fits that are not finished, of those made."""
    return (
        f"Warning: {len(names)} of {made} fits are not finished, the first {names[0]}: their "
        "xdelta is too large. Fix: a higher --epochs (a maximum), or no --epochs."
    )


def of_matrix_fits(fitted: MatrixFits, settings: CompareSettings) -> list[str]:
    """Return the notes on the fits of g, warnings first."""
    if settings.fits == "none":
        return ["g is fitted to no pair. Fix, if wanted: --fits best or all, or one pair."]
    told = []
    if fitted.open:
        told.append(of_open(fitted.open, len(fitted.fits)))
    if fitted.warned:
        told.append(
            f"Warning: too few images for the width of {len(fitted.warned)} of "
            f"{len(fitted.fits)} fits (fewer than {notes.ENOUGH:g} positions for a weight of g): "
            "their test shares are too high. Compare them with xdelta on training images."
        )
    if fitted.refused:
        name, error = next(iter(fitted.refused.items()))
        told.append(f"{len(fitted.refused)} fits could not be made, the first {name}: {error}")
    if settings.fits == "best":
        told.append(
            "g is fitted to each layer from the layer of the other side whose linear map misses "
            "least (highest CKA, where there are no linear maps): the other xdelta are empty "
            "(--fits all)."
        )
    return [
        *told,
        "xdelta_b: share of Var(b's layer) that g does not reconstruct from a's layer (fraction "
        "of variance unexplained, 1 - R^2), test images; xdelta_a: from b's layer; _train: on "
        "training images. x0: share of what passes no ReLU of g.",
    ]


def of_left_out(left_out: int, empty: int) -> Sequence[str]:
    """Return the notes on pairs that are not in the table, and on those without measures."""
    told = [f"{left_out} pairs could not be brought to the same kind."] if left_out else []
    if empty:
        told.append(f"{empty} pairs have no measures: a layer is constant over the test images.")
    return told
