"""Plan and make the fits of g of a comparison of many layers."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from kc.comparison import notes
from kc.comparison.compare import DIRECTIONS
from kc.comparison.estimate import seconds_of, spell_seconds
from kc.comparison.fits import direction_product
from kc.comparison.layer_pairs import PairedLayers
from kc.comparison.memory import check_memory
from kc.comparison.settings import CompareSettings
from kc.comparison.workplace import Direction, Workplace
from kc.consistency.rank import Rank
from kc.consistency.rungs import Fitted, make_fitted
from kc.errors import FeatureError
from kc.images.rows import rows_in
from kc.names import SUBSETS
from kc.progress import progress_bar
from kc.similarity.all_pairs import LINEAR
from kc.store import Store


class PlannedFit(NamedTuple):
    """A direction of a pair of layers, and the estimated time of its fit."""

    cell: PairedLayers
    source: str
    target: str
    seconds: float


class MatrixFits(NamedTuple):
    """The fits that were made, and those that were not."""

    fits: dict[tuple[tuple[str, str], str], Fitted]
    """By pair of layers and letter of the target."""
    warned: list[str]
    """Fits with too few images."""
    open: list[str]
    """Fits that are not finished."""
    refused: dict[str, FeatureError]
    """Fits that cannot be made."""


def plan_fits(
    cells: Sequence[PairedLayers], images: int, settings: CompareSettings, rate: float
) -> list[PlannedFit]:
    """List both directions of each pair, with the estimated seconds of the fit."""
    return [
        PlannedFit(cell, *ends, seconds_of(*cell.work(*ends), images, settings, rate))
        for cell in cells
        for ends in DIRECTIONS
    ]


def told_fits(plan: Sequence[PlannedFit], settings: CompareSettings, layers: str) -> str:
    """Return the number of fits and their estimated time, before they are made or chosen.

    ``layers``: the numbers of layers, in words.
    """
    if settings.fits == "none":
        return f"{layers}, no fits of g (--fits best or all)"
    if settings.fits == "all":
        seconds = sum(planned.seconds for planned in plan)
        return f"{len(plan)} fits ({layers}, both ways): about {spell_seconds(seconds)}"
    longest: dict[tuple[str, str], float] = {}
    for planned in plan:
        key = planned.target, planned.cell.layers["ab".index(planned.target)]
        longest[key] = max(longest.get(key, 0.0), planned.seconds)
    return (
        f"at most {len(longest)} fits ({layers}, each from its best partner): at most about "
        f"{spell_seconds(sum(longest.values()))}"
    )


def chosen_fits(
    plan: Sequence[PlannedFit], measured: pd.DataFrame, settings: CompareSettings
) -> list[PlannedFit]:
    """Return the fits that ``fits`` asks for.

    ``best``: of each layer as a target, the one from the source whose linear map misses least
    (with too many images for those maps: of the highest CKA).

    ``measured``: one row for each pair of the plan, with ``layer_a``, ``layer_b`` and measures.
    """
    if settings.fits != "best":
        return list(plan) if settings.fits == "all" else []
    best = set()
    for _, target in DIRECTIONS:
        column = f"{LINEAR}_{target}"
        missed = measured[column] if column in measured else 1 - measured["cka"]
        least = missed.dropna().groupby(measured[f"layer_{target}"]).idxmin()
        rows = measured.loc[least, ["layer_a", "layer_b"]]
        best |= {(a, b, target) for a, b in rows.itertuples(index=False)}
    return [planned for planned in plan if (*planned.cell.layers, planned.target) in best]


def make_fits(
    plan: Sequence[PlannedFit], stores: Mapping[str, Store], at: Workplace, rank: Rank
) -> MatrixFits:
    """Fit what is not fitted yet; list fits that fail (such as of a constant layer).

    The progress bar counts estimated seconds, as fits take very different times.

    Raises
    ------
    FeatureError
        There are fits to make, and none can be made.
    """
    found = MatrixFits({}, [], [], {})
    layout = "{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}"
    total = sum(planned.seconds for planned in plan)
    images = len(rows_in(stores["a"].rows, "train"))
    with progress_bar(total=total, bar_format=layout) as bar:
        for number, (cell, source, target, seconds) in enumerate(plan, start=1):
            name = cell.name(source, target)
            bar.set_description_str(f"fit {number} of {len(plan)}: {name}")
            ends = (stores[letter][cell.array(letter)] for letter in (source, target))
            try:
                settings = at.settings.consistency
                check_memory(name, [cell.work(source, target)], images, settings, at.device)
                own = direction_product(Direction(name, *ends), at, rank, pictured=False)
                fit = make_fitted(own, at.out)
            except FeatureError as error:
                found.refused[name] = error
            else:
                found.fits[(cell.layers, target)] = fit
                if notes.too_few("", fit.card, {s: fit.share(s) for s in SUBSETS}):
                    found.warned.append(name)
                if fit.card["settled"] == "no":
                    found.open.append(name)
            bar.update(seconds)
    if plan and not found.fits:
        raise next(iter(found.refused.values()))
    return found
