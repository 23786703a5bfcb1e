"""Variants of a fit by name: other orders, other lambda, other seeds, continued training.

The Snakefile reads this without torch.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from kc.settings.reconstruction import Consistency

PENALTIES = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1)
"""Lambda along the path."""
RESTART = ".restart"
"""Suffix of the folder of a g whose training is continued."""


class Variant(NamedTuple):
    """A variant of a fit."""

    suffix: str
    """Suffix of its folder."""
    changes: Mapping[str, Any] = MappingProxyType({})
    """Changed settings."""
    is_reseeded: bool = False
    """Whether the seed differs; with the same seed, images and units are the same."""
    follows: bool = False
    """Whether it starts from the fit's g, unless that is the linear start."""
    choose: Literal["validation", "last"] = "validation"
    """Which state is kept; ``last``, as training ends, for steps along a path."""


def orders_and_path(settings: Consistency) -> list[Variant]:
    """List the fits of a ladder: lower orders, then the path over lambda.

    The preset ``released`` has no path, since its lambda refers to raw features.
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
    """List the fits with other seeds of g, and so other validation subsets."""
    return [Variant(f".{number}", is_reseeded=True) for number in range(2, repeats + 1)]


def suffixes(settings: Consistency, repeats: int) -> list[str]:
    """List the suffixes of all variants of a fit with a ladder and repeats."""
    variants = orders_and_path(settings) + reseeded(repeats)
    restart = [] if settings.preset == "released" else [RESTART]
    return [*(variant.suffix for variant in variants), *restart]


def folders_of(name: str, variants: Iterable[Variant]) -> list[str]:
    """Return the folders of a fit's variants, relative to the results folder."""
    return [f"fits/{name}{variant.suffix}" for variant in variants]
