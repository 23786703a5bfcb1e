"""Footnotes of comparison tables: what the numbers mean, and warnings."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from kc.activations.rounding import TOO_MUCH, rounding_share
from kc.comparison.forms import Form
from kc.comparison.layers import Tap
from kc.comparison.settings import CompareSettings
from kc.comparison.sides import ComparedRows, ComparedSide
from kc.comparison.similarities import WIDTH
from kc.comparison.views import cuts_of
from kc.consistency.rungs import Fitted
from kc.datasets.folder import spell_passed
from kc.images.rows import rows_in
from kc.names import SUBSETS, Subset
from kc.similarity.measures import MANY, NAMES
from kc.store import StoredArray

ENOUGH = 10.0
"""Positions per weight of g below which kc warns."""
ROUNDED = 5e-4
"""Shares that differ by less print alike, about."""
FAR = 0.05
"""By how much xdelta may exceed what the best linear map misses; g contains that map."""
READING = (
    "Shares are of the variance of the target's feature. x^(0): what passes no ReLU of g; x^(k): "
    "what passes k of them (on maps each also sees a wider field); xdelta: what this g does not "
    "give, the fraction of variance unexplained (FVU = 1 - R^2) of the target given g. The parts "
    "may be correlated: cross is 1 minus their sum."
)
CENTRINGS = {
    "channel": "Each channel's training mean is subtracted first, and variances are about each "
    "channel's own mean (--centring channel): constants do not count.",
    "layer": "One mean of the whole layer is subtracted, as in the papers (--centring layer): "
    "constant differences between channels count as variance, and g has no bias to give them.",
}
SETTLED = {
    "plateau": "validation error no longer improves",
    "validation": "validation error would only rise: xdelta is final, but the orders depend on "
    "where training stopped",
    "no": "not finished",
}
"""Meaning of ``settled`` (:mod:`kc.consistency.finish`)."""
ONE_PAIR = "One pair of networks: these numbers do not show how much other seeds would differ."


def of_rows(sides: Sequence[ComparedSide], rows: ComparedRows) -> str:
    """Return the note on the number of images and how they are prepared."""
    counts = " and ".join(f"{len(rows_in(rows.table, name))} {name}" for name in SUBSETS)
    skipped = rows.images.passed_over if rows.images else None
    told = {s.letter: s.preparation.told() for s in sides if s.preparation is not None}
    if not told:
        return f"Rows: {counts}."
    how = next(iter(told.values()))
    if len(set(told.values())) > 1:
        how = "; ".join(f"of {letter}: {each}" for letter, each in told.items())
    return f"Images: {counts}, {how}.{f' Passed over: {spell_passed(skipped)}.' if skipped else ''}"


def of_views(
    sides: Sequence[ComparedSide], kinds: Iterable[int], settings: CompareSettings
) -> list[str]:
    """Return the note on networks that see different parts of a picture; empty if they do not.

    ``kinds``: the numbers of axes of the features that are compared; 1: vectors.
    """
    if cuts_of([side.preparation for side in sides]) is None:
        return []
    if all(kind == 1 for kind in kinds):
        return ["The two networks see different parts of a picture; what only one sees can count."]
    if settings.view == "own":
        return [
            "Warning: the two networks see different parts of a picture, so the same cell of two "
            "maps shows different places, which counts as xdelta. Fix: --view common, or --align "
            "pool."
        ]
    return [
        "The two networks see different parts of a picture; their maps are cut to the part that "
        "both see, bilinearly between cells (--view)."
    ]


def of_rounding(
    sides: Sequence[ComparedSide], arrays: Mapping[str, Iterable[StoredArray]]
) -> list[str]:
    """Warn if rounding to float16 is a part of a layer's variance; ``arrays``: by letter."""
    told = []
    for side in sides:
        fix = "--dtype float32" if isinstance(side.source, Tap) else "save the features as float32"
        shares = {array.name: rounding_share(array) for array in arrays[side.letter]}
        told += [
            f"Warning: {side.letter}'s layer {layer} is stored as float16, whose rounding makes "
            f"about {share:.2g} of its variance (its mean is far from 0, or its spread small); "
            f"that counts as xdelta. Fix: {fix}."
            for layer, share in shares.items()
            if share >= TOO_MUCH
        ]
    return told


def of_fit(settings: CompareSettings) -> str:
    """Return the note on what g was fitted on, the means subtracted, and what lambda changes."""
    return (
        f"{CENTRINGS[settings.consistency.centring]} g is fitted and stopped on training images; "
        "test images are read once, at the end. How much of g is in x^(1) and above depends on "
        f"lambda ({settings.consistency.penalty:g}); do not compare the orders across layers."
    )


def of_forms(sides: Sequence[ComparedSide], chosen: Mapping[str, tuple[str, Form]]) -> list[str]:
    """Return the note on changed features and the options for it; empty if none is changed."""
    told = []
    for side in sides:
        layer, form = chosen[side.letter]
        done = form.spell(side.layers[layer].shape)
        if done:
            told.append(f"{side.letter}: {done}")
    if not told:
        return []
    return [f"To be of the same kind, features are changed ({'; '.join(told)}): --tokens, --align."]


def of_settled(verdicts: Iterable[str]) -> str:
    """Return the note on the values that occur in the column ``settled``."""
    there = set(verdicts)
    told = "; ".join(f"{name}: {text}" for name, text in SETTLED.items() if name in there)
    return f"settled, whether g is finished: {told}."


def not_settled(direction: str, card: Mapping[str, Any]) -> str | None:
    """Warn of a g that is not finished, and name the option that helps."""
    if card["settled"] != "no":
        return None
    if card["preset"] == "released":
        return (
            f"Warning: {direction}, g may not be finished: the preset released ends by its "
            "schedule. Its xdelta may be too large, and p and the orders may not be final. "
            "Fix: the preset paper."
        )
    return (
        f"Warning: {direction}, g is not finished after {card['epochs']} epochs: its xdelta is too "
        "large, and its orders are not final. Fix: a higher --epochs (a maximum), or no --epochs."
    )


def far_from_linear(direction: str, share: float, linear: float) -> str | None:
    """Warn if g misses far more than the best linear map, which is one of the possible g.

    ``share``: of x^Delta; ``linear``: what the map misses. Both on test images, centred alike.
    """
    if not share > linear + FAR:
        return None
    return (
        f"Warning: {direction}, xdelta is {share:.3f}, and the best linear map with an intercept "
        f"misses {linear:.3f}. g contains all such maps except the intercept, so {share:.3f} is "
        "not what the source lacks: it is due to constants, or g was fitted badly. Fix: --centring "
        "channel if it is layer, more images, or a higher --epochs."
    )


LADDER = (
    "Test images, except xdelta_train. linear: the best linear map, with an intercept, that sees "
    "a field x field neighbourhood (ridge by the validation cut); flattened: whole images. "
    "beyond_linear: what g misses less than the linear map of its own field. Only that is "
    "non-linear: on maps an order of g also widens the field."
)
PATH = (
    "For other lambda than the comparison's, training continues from the comparison's g (from "
    "the start if that is the linear map) until it ends. Gains p are not a property of the "
    "networks: never compare them across pairs."
)


def of_ladder(
    ladder: pd.DataFrame, penalty: float, left_out: Mapping[str, Sequence[str]]
) -> tuple[str, ...]:
    """Return notes on a ladder's rows, on what g gains over linear maps, and on maps left out."""
    told = []
    for direction, names in left_out.items():
        source, _, target = direction.partition(" to ")
        of = ladder[(ladder["map"] == "g") & (ladder["target"] == target)]
        own = of[of["penalty"] == penalty].iloc[-1]
        gain, order = own["beyond_linear"], int(own["order"])
        if not math.isnan(gain):
            told.append(
                f"{source} to {target}: g of order {order} gives {abs(gain):.3f} "
                f"{'more' if gain > 0 else 'less'} than the linear map of its field"
            )
        path = of[of["order"] == order].sort_values("validation_mse")
        if len(path) > 1:
            told.append(f"of the path, lambda {path['penalty'].iloc[0]:g} validates best")
        told += [f"{direction}: left out {', '.join(names)}"] if names else []
    path_told = [PATH] if ladder["penalty"].drop_duplicates().count() > 1 else []
    return (*([f"{'; '.join(told)}."] if told else []), LADDER, *path_told)


MOVED = (
    "x0_linear, x1_beyond, ...: the orders after what is linear in them (in the patches that x^(0) "
    "sees) is moved to x^(0); fitted on training images. These vary less than the orders: half of "
    "a ReLU is linear, and a fit may put it in either."
)
RESIZED = "The maps differ in size: the source's is resized bilinearly to the target's."
CLASSES = (
    "xdelta of a class: squared deviations of x^Delta from its mean over all test images (each "
    "channel's, under the centring channel), over those of x*, summed over the class's images; "
    "weight: the class's part of the variance of x*. "
    "The mean of xdelta weighted by weight is the share of all images. 95 %: bootstrap over the "
    "class's images; it does not cover other seeds or fits, and with many classes some differ by "
    "chance."
)


def of_measures(peers: pd.DataFrame) -> tuple[str, ...]:
    """Return notes on the similarity measures, and on those that could not be computed."""
    empty = [name for name in NAMES if peers[name].isna().any()]
    told = (
        "Similarity measures, test images. positions: each position of a map is a row and its "
        "channels the units, as for g; flattened: each image is a row and all its values are "
        f"units, if both features have at most {WIDTH} of them. linear_share: what the best linear "
        "map misses, comparable with xdelta; the others are 1 if features are alike. What each "
        "measure shows: kc docs peers."
    )
    if not empty:
        return (told,)
    return (
        told,
        f"Not computed ({len(empty)} of {len(NAMES)}): flattened features wider than {WIDTH}, "
        f"patches of more than {MANY} units at as many positions, and CCA measures if there are "
        "too few images for the units, or a feature varies by rounding alone: "
        + ", ".join(empty)
        + ".",
    )


def too_few(direction: str, card: Mapping[str, Any], shares: Mapping[Subset, float]) -> str | None:
    """Warn, with numbers, if there are too few images for the layer's width.

    ``shares``: of x^Delta, by subset.
    """
    if card["positions_per_weight"] >= ENOUGH:
        return None
    each, weights = card["positions_per_image"], card["weights_per_channel"]
    needed = math.ceil(ENOUGH * weights / each)
    return (
        f"Warning: too few images for the width of this layer. {direction}, g "
        f"has {weights} weights for each channel and {card['rows']['train']} x {each} "
        f"positions to fit them on: {card['positions_per_weight']:.1f} per weight, at least "
        f"{ENOUGH:g} are needed ({needed:.0f} training images). g overfits, so the share on test "
        f"images is too high: {shares['test']:.3f}, on training images {shares['train']:.3f}."
    )


def of_ranks(fits: Mapping[Any, Fitted]) -> list[str]:
    """Return the note on the rank r of factorised g, and what full linear maps miss."""
    cards = [fitted.card for fitted in fits.values() if fitted.card["rank"] is not None]
    if not cards:
        return []
    beside = [f"{card['fit']} {card['linear']['test']:.3f}" for card in cards if card.get("linear")]
    told = (
        f"Wide layers: each W of g is factorised, C x {cards[0]['rank']} x C "
        "(--rank full: not factorised)."
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
    """Warn if a factorised g misses more on test images than the full linear map."""
    linear = card.get("linear")
    if not linear or shares["test"] <= linear["test"] + ROUNDED:
        return None
    return (
        f"Warning: g is worse than a linear map. {direction}, xdelta on test images is "
        f"{shares['test']:.3f}, that of the best full linear map {linear['test']:.3f}: g's W are "
        f"factorised, C x {card['rank']} x C, and too narrow. Use the lower of the two as what "
        f"the source does not give, or fit with --rank {2 * card['rank']} or --rank full."
    )
