"""Fits beside a fit's own, by name: other orders, other lambda, other seeds, training gone on with.

Pure bookkeeping, so that the Snakefile can read it without torch.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from kc.settings.reconstruction import Consistency

PENALTIES = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1)
"""Lambda along the path."""
RESTART = ".restart"
"""Ends the folder of a g that is trained on."""


class Variant(NamedTuple):
    """A fit beside a fit's own."""

    suffix: str
    """Of its folder."""
    changes: Mapping[str, Any] = MappingProxyType({})
    """Of the settings."""
    is_reseeded: bool = False
    """Another seed; else the same one, so that images and units are the same."""
    follows: bool = False
    """Trained from the own g; afresh where that is the linear start."""
    choose: Literal["validation", "last"] = "validation"
    """``last``: a step along a path, kept as training ends."""


def orders_and_path(settings: Consistency) -> list[Variant]:
    """List the fits of a ladder: lower orders, then the path over lambda.

    Under ``released`` there is no path: its lambda is of raw features.
    """
    lower = [Variant(f".K{k}", {"order": k}) for k in range(1, settings.order)]
    if settings.preset == "released" or not settings.order:
        return lower
    path = [
        Variant(f".lambda-{penalty:g}", {"penalty": penalty}, follows=True, choose="last")
        for penalty in PENALTIES
        if penalty != settings.penalty
    ]
    return [*lower, *path]


def reseeded(repeats: int) -> list[Variant]:
    """List the fits with other seeds of g (and so other validation cuts)."""
    return [Variant(f".{number}", is_reseeded=True) for number in range(2, repeats + 1)]


def suffixes(settings: Consistency, repeats: int) -> list[str]:
    """List the endings of all folders beside a fit that has a ladder and repeats."""
    variants = orders_and_path(settings) + reseeded(repeats)
    restart = [] if settings.preset == "released" else [RESTART]
    return [*(variant.suffix for variant in variants), *restart]


def folders_of(name: str, variants: Iterable[Variant]) -> list[str]:
    """Name the folders of a fit's variants, relative to the results."""
    return [f"fits/{name}{variant.suffix}" for variant in variants]
