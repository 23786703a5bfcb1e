"""Handicaps: what a network of `known_difference` cannot know, as part of its name."""

from typing import Literal, NamedTuple

from kc.errors import SettingsError

GREY = "grey"
"""The network sees its pictures without colour, in training, testing and recording."""


class Handicap(NamedTuple):
    """A handicap, read from its name."""

    kind: Literal["none", "grey", "fewer", "without"]
    amount: float = 0.0
    """``fewer``: percent of the training pictures that are left. ``without``: number of classes."""


def fewer(share: float) -> str:
    """Return the name of a placebo that sees a share of the training pictures of each class.

    >>> fewer(0.5)
    'fewer50'
    """
    return f"fewer{100 * share:g}"


def without(classes: int) -> str:
    """Return the name of a network trained without the first classes, by label.

    >>> without(4)
    'without4'
    """
    return f"without{classes}"


def handicap_of(name: str) -> Handicap:
    """Read a handicap from its name; empty: none.

    Raises
    ------
    SettingsError
        There is no such handicap.

    >>> handicap_of("fewer50")
    Handicap(kind='fewer', amount=50.0)
    """
    if not name:
        return Handicap("none")
    if name == GREY:
        return Handicap("grey")
    if name.startswith("fewer") and _is_number(name[5:]):
        return Handicap("fewer", float(name[5:]))
    if name.startswith("without") and name[7:].isdecimal():
        return Handicap("without", float(name[7:]))
    raise SettingsError(
        f"handicap '{name}': expected {GREY}, fewer50 (percent of the training pictures) or "
        "without4 (number of classes). Fix: one of these"
    )


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdecimal()
