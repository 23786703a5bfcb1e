"""What stands under the numbers of a comparison: what they are of, and warnings first."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from kc.comparison.fits import Fitted
from kc.comparison.forms import Form
from kc.comparison.layers import Tap
from kc.comparison.settings import CompareSettings
from kc.comparison.sides import ComparedRows, ComparedSide
from kc.comparison.similarities import WIDTH
from kc.images.rows import rows_in
from kc.names import SUBSETS, Subset
from kc.similarity.measures import MANY, NAMES

ENOUGH = 10.0
"""Positions per weight of g below which a warning is due."""
ROUNDED = 5e-4
"""Shares nearer than this print alike, about."""
READING = (
    "Shares are of the variance of the target's feature; x^(0) is what a linear map of the "
    "source gives, x^(k) what k non-linear layers add, xdelta what the source does not give. "
    "The parts may be correlated: cross is what their sum misses of 1."
)
ONE_PAIR = "One pair of networks: how far another seed would differ is not told by these numbers."


def of_rows(sides: Sequence[ComparedSide], rows: ComparedRows, settings: CompareSettings) -> str:
    """Say how many images there are, and how networks saw them."""
    counts = " and ".join(f"{len(rows_in(rows.table, name))} {name}" for name in SUBSETS)
    if not any(isinstance(side.source, Tap) for side in sides):
        return f"Rows: {counts}."
    return (
        f"Images: {counts}, {settings.size} px, minus {_spell(settings.mean)}, over "
        f"{_spell(settings.std)}."
    )


def of_fit(settings: CompareSettings) -> str:
    """Say what g saw, and what depends on lambda."""
    return (
        "g is fitted and stopped on training images; test images are read once, at the end. How "
        "the parts fall to x^(1) and above depends on lambda "
        f"({settings.consistency.penalty:g}); do not compare them across layers."
    )


def of_forms(sides: Sequence[ComparedSide], chosen: Mapping[str, tuple[str, Form]]) -> list[str]:
    """Say in which forms two layers are compared, and how to have others; nothing where as is."""
    told = []
    for side in sides:
        layer, form = chosen[side.letter]
        done = form.spell(side.layers[layer].shape)
        if done:
            told.append(f"{side.letter}: {done}")
    if not told:
        return []
    return [f"To be of one kind, features are changed ({'; '.join(told)}): --tokens, --align."]


CLASSES = (
    "xdelta of a class: squared deviations of x^Delta from its mean over all test images, over "
    "those of x*, summed over the class's images; weight: the class's part of the variance of x*. "
    "The mean of xdelta by weight is the share of all. 95 %: bootstrap over the class's images; it "
    "does not cover another seed or fit, and of many classes some stand apart by chance."
)


def of_peers(peers: pd.DataFrame) -> tuple[str, ...]:
    """Say what the measures beside are of, and which could not be told."""
    empty = [name for name in NAMES if peers[name].isna().any()]
    told = (
        "Other measures, test images. positions: each position of a map is a row and its channels "
        "the units, as g sees it; flattened: each image is a row and all its values are units, "
        f"where both features have at most {WIDTH} of them. linear_share: what the best linear map "
        "misses, beside xdelta; the others are 1 where features are alike. What each can and "
        "cannot tell: docs/peers.md."
    )
    if not empty:
        return (told,)
    return (
        told,
        f"Not told ({len(empty)} of {len(NAMES)}): flattened features wider than {WIDTH}, "
        f"patches of more than {MANY} units at as many positions, and CCA's kinds where images are "
        "too few for the units: " + ", ".join(empty) + ".",
    )


def too_few(direction: str, card: Mapping[str, Any], shares: Mapping[Subset, float]) -> str | None:
    """Warn, with the numbers, where images are too few for the layer's width.

    ``shares``: of x^Delta, by subset.
    """
    if card["positions_per_weight"] >= ENOUGH:
        return None
    each, weights = card["positions_per_image"], card["weights_per_channel"]
    needed = math.ceil(ENOUGH * weights / each)
    return (
        f"Warning: too few images for the width of this layer. {direction}, g "
        f"has {weights} weights for each channel and {card['rows']['train']} x {each} "
        f"positions to fit them on: {card['positions_per_weight']:.1f} a weight, at least "
        f"{ENOUGH:g} are wanted ({needed:.0f} training images). What g learns by heart fails "
        f"on test images, so the test share is too high: {shares['test']:.3f}, on training images "
        f"{shares['train']:.3f}."
    )


def of_ranks(fits: Mapping[Any, Fitted]) -> list[str]:
    """Say which r a factorised g has, and what the full linear map beside it misses."""
    cards = [fitted.card for fitted in fits.values() if fitted.card["rank"] is not None]
    if not cards:
        return []
    beside = [f"{card['fit']} {card['linear']['test']:.3f}" for card in cards if card.get("linear")]
    told = (
        f"Wide layers: each W of g is factorised, C x {cards[0]['rank']} x C "
        "(--rank full: it is whole)."
    )
    if beside:
        told += (
            " xdelta of the best full linear map of the same 3 x 3 neighbours, test images: "
            f"{', '.join(beside)}."
        )
    return [told]


def worse_than_linear(
    direction: str, card: Mapping[str, Any], shares: Mapping[Subset, float]
) -> str | None:
    """Warn where a factorised g misses more of test images than the full linear map."""
    linear = card.get("linear")
    if not linear or shares["test"] <= linear["test"] + ROUNDED:
        return None
    return (
        f"Warning: g is worse than a linear map. {direction}, xdelta on test images is "
        f"{shares['test']:.3f}, that of the best full linear map {linear['test']:.3f}: g's W are "
        f"factorised, C x {card['rank']} x C, and too narrow. Read the lower of the two as what "
        f"the source does not give, or fit with --rank {2 * card['rank']} or --rank full."
    )


def _spell(colours: Sequence[float]) -> str:
    return f"({', '.join(f'{value:g}' for value in colours)})"
