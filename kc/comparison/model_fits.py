"""Plan and make the fits of g between many models."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from kc.comparison.estimate import matrix_rate, seconds_of, spell_seconds
from kc.comparison.fits import direction_product
from kc.comparison.forms import Form, align
from kc.comparison.layer_pairs import fit_folder
from kc.comparison.memory import check_memory
from kc.comparison.settings import CompareSettings
from kc.comparison.sides import ComparedSide
from kc.comparison.workplace import Direction, Workplace
from kc.consistency.net import check_shapes
from kc.consistency.rank import common_rank
from kc.consistency.rungs import make_fitted
from kc.errors import FeatureError
from kc.images.rows import rows_in
from kc.names import Shape
from kc.progress import progress_bar
from kc.similarity.all_pairs import LINEAR
from kc.store import Store


class ModelEnd(NamedTuple):
    """A layer of a model, in the form in which it is compared."""

    letter: str
    model: str
    layer: str
    form: Form
    shape: Shape

    @property
    def array(self) -> str:
        """Name of its stored array."""
        return self.form.array(self.layer)


class PlannedModelFit(NamedTuple):
    """A fit of one model's layer from another's."""

    source: ModelEnd
    target: ModelEnd

    @property
    def name(self) -> str:
        """Name of its folder, different for each pair of layers."""
        ends = [f"{end.letter}.{end.array}" for end in (self.target, self.source)]
        return fit_folder("-from-".join(ends))


class ModelFits(NamedTuple):
    """The fits that were made, and those that were not."""

    shares: pd.DataFrame
    """source, layer_source, target, layer_target, xdelta (test), xdelta_train."""
    digests: dict[str, str]
    open: list[str]
    """Fits that are not finished."""
    refused: dict[str, FeatureError]


def plan_models(sides: Sequence[ComparedSide], settings: CompareSettings) -> list[PlannedModelFit]:
    """List the fits between layers of different models that can be brought to the same kind.

    Empty if no fits are asked for.
    """
    found: list[PlannedModelFit] = []
    if settings.fits == "none":
        return found
    for one in sides:
        for other in sides:
            if one is not other:
                found += _between(one, other, settings)
    return found


def _between(
    one: ComparedSide, other: ComparedSide, settings: CompareSettings
) -> list[PlannedModelFit]:
    found = []
    for first in one.layers.values():
        for second in other.layers.values():
            try:
                forms = align(first, second, settings.tokens, settings.align)
                shapes = forms[0].shape(first.shape), forms[1].shape(second.shape)
                check_shapes(*shapes)
            except FeatureError:
                continue
            ends = [
                ModelEnd(side.letter, side.name, layer.name, form, shape)
                for side, layer, form, shape in zip(
                    (one, other), (first, second), forms, shapes, strict=True
                )
            ]
            found.append(PlannedModelFit(*ends))
    return found


def wanted_of(
    sides: Sequence[ComparedSide], planned: Sequence[PlannedModelFit]
) -> dict[str, dict[str, list[Form]]]:
    """Return the forms in which each layer is stored, its own first."""
    found = {side.letter: {layer: [Form()] for layer in side.layers} for side in sides}
    for fit in planned:
        for end in (fit.source, fit.target):
            forms = found[end.letter][end.layer]
            if end.form not in forms:
                forms.append(end.form)
    return found


def told_models(
    planned: Sequence[PlannedModelFit], images: int, settings: CompareSettings, at: Workplace
) -> str:
    """Return the number of fits and their estimated time."""
    if not planned:
        return "no fits of g (--fits best or all)"
    rate = matrix_rate(at.device)
    longest: dict[tuple[str, str, str], float] = {}
    total = 0.0
    for fit in planned:
        seconds = seconds_of(fit.source.shape, fit.target.shape, images, settings, rate)
        key = (fit.source.letter, fit.target.letter, fit.target.layer)
        longest[key] = max(longest.get(key, 0.0), seconds)
        total += seconds
    if settings.fits == "all":
        return f"{len(planned)} fits of g: about {spell_seconds(total)}"
    return f"{len(longest)} fits of g: at most about {spell_seconds(sum(longest.values()))}"


def fit_models(
    planned: Sequence[PlannedModelFit],
    measured: pd.DataFrame,
    stores: Mapping[str, Store],
    at: Workplace,
) -> ModelFits:
    """Fit what is not fitted yet; list fits that cannot be made (such as of a constant layer).

    ``best``: each layer of a target from the layer of each source whose linear map misses least.
    """
    chosen = _chosen(planned, measured, at.settings)
    images = len(rows_in(next(iter(stores.values())).rows, "train"))
    shapes = [(fit.source.shape, fit.target.shape) for fit in planned]
    rank = common_rank(shapes, images, at.settings.consistency) if shapes else None
    rows, found = [], ModelFits(pd.DataFrame(), {}, [], {})
    for fit in progress_bar(chosen, desc="fits", unit="fit"):
        ends = [stores[end.letter][end.array] for end in (fit.source, fit.target)]
        try:
            own = [(fit.source.shape, fit.target.shape)]
            check_memory(fit.name, own, images, at.settings.consistency, at.device)
            direction = Direction(fit.name, *ends)
            made = make_fitted(direction_product(direction, at, rank, pictured=False), at.out)
        except FeatureError as error:
            found.refused[fit.name] = error
            continue
        found.digests[fit.name] = made.card["digest"]
        if made.card["settled"] == "no":
            found.open.append(fit.name)
        rows.append(
            {"source": fit.source.model, "layer_source": fit.source.layer}
            | {"target": fit.target.model, "layer_target": fit.target.layer}
            | {"xdelta": made.share("test"), "xdelta_train": made.share("train")}
        )
    return found._replace(shares=pd.DataFrame(rows))


def _chosen(
    planned: Sequence[PlannedModelFit], measured: pd.DataFrame, settings: CompareSettings
) -> list[PlannedModelFit]:
    if settings.fits != "best":
        return list(planned)
    keys = ["source", "target", "layer_target"]
    least = measured.dropna(subset=[LINEAR]).groupby(keys)[LINEAR].idxmin()
    best = measured.loc[least, [*keys, "layer_source"]]
    wanted = set(best.itertuples(index=False, name=None))
    return [
        fit
        for fit in planned
        if (fit.source.model, fit.target.model, fit.target.layer, fit.source.layer) in wanted
    ]
