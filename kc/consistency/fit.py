"""Fit g to reconstruct x* from x, stopped on a validation cut of training images [L20, Eq. (2)]."""

from dataclasses import dataclass
from typing import Any, Literal, TypedDict, Unpack

import pandas as pd
import torch
from numpy.typing import ArrayLike
from pydantic import ValidationError
from torch import Tensor

from kc.consistency.data import FeaturePair, pair_up
from kc.consistency.decompose import Normalisation, exact_products
from kc.consistency.net import ConsistencyNet, match_size
from kc.consistency.optimise import Choose, FitRecipe, Progress, optimise
from kc.consistency.order import Rows, apart, cut, rows_of
from kc.consistency.rank import common_rank
from kc.consistency.released import EPOCHS, Released
from kc.consistency.result import FitAbout, FitResult, check_fitting
from kc.consistency.resume import Resume
from kc.consistency.rounds import Rounds
from kc.consistency.task import FitTask, settle_variance
from kc.consistency.variance import Centring, Moments
from kc.errors import FeatureError, SettingsError
from kc.settings.reconstruction import Consistency, Optimiser


class FitSettings(TypedDict, total=False):
    """The settings that :func:`fit` takes, by its names."""

    order: int
    penalty: float
    preset: Literal["paper", "released"]
    optimiser: Optimiser | None
    kernel_size: int
    gain: Literal["sigmoid", "free"]
    rank: int | Literal["auto", "full"]
    centring: Literal["layer", "channel"]
    buffer_blocks: int
    memory_gb: float
    precision: Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class FitRun:
    """The arguments of one fit, in addition to the settings; see :func:`fit`."""

    train: ArrayLike | None = None
    seed: int = 0
    epochs: int | None = None
    choose: Choose = "validation"
    initial: ConsistencyNet | None = None
    resume: Resume | None = None
    held: Rows | None = None
    """The validation cut, part of the training images; None: a random cut by the seed."""


def fit(
    source: Any,
    target: Any,
    *,
    train: ArrayLike | None = None,
    seed: int = 0,
    epochs: int | None = None,
    choose: Choose = "validation",
    initial: ConsistencyNet | None = None,
    resume: Resume | None = None,
    device: torch.device | str = "cpu",
    block_rows: int = 256,
    **given: Unpack[FitSettings],
) -> FitResult:
    """Fit g from ``source`` to ``target``, features of the same images.

    Under ``paper``, W(0) starts in closed form: the best linear map (all gains 0: the history's
    ``start``), then solved again with open gains. Rounds of averaged AdamW follow
    (:mod:`kc.consistency.rounds`), with W(0) solved after each, until a round no longer improves
    the validation MSE. The start or round that validates best is kept, so g is never worse on the
    validation cut than the linear map. Under ``released``: Adam and the schedule of the authors'
    code, from random weights.

    Parameters
    ----------
    source, target
        Arrays, tensors or stored layers: vectors (n, d), maps (n, c, h, w), tokens (n, t, d).
    order, kernel_size
        K (default: 2), and the side of the convolutions (3).
    gain
        ``sigmoid`` (the default): p = sigmoid(q); ``free``: p = q.
    rank
        ``full`` (the default): each W(k) is one weight; a number r: factorised C x r x C;
        ``auto``: by :func:`kc.consistency.rank.common_rank`.
    centring
        ``layer`` (the default, the paper's): one mean of each layer is subtracted, so constants of
        single channels count as x^Delta; ``channel``: each channel's mean, so none count.
    penalty
        lambda on sum p^2 (0.01). Under ``paper`` it applies to normalised features.
    preset
        ``paper`` (the default): each layer's mean and standard deviation (over the images g is
        fitted on, without the validation cut), Sigma over images. ``released``: raw features,
        Sigma per image.
    optimiser
        For the preset ``paper``; ``released`` has its own.
    train
        Mask or indices of the training images; None: all. No other row is read.
    seed
        Of the weights, the validation cut and the order of the images (0).
    device
        Device on which g is fitted (the CPU).
    epochs
        Most epochs, instead of the preset's number.
    choose
        ``validation`` (the default): keep the best on the validation cut; ``last``: the last epoch.
    initial
        A network to train from, in normalised units, instead of new weights. It is measured
        unchanged; W(0) is solved at the ends of rounds.
    block_rows, buffer_blocks
        Rows shuffled as one block (256), and blocks shuffled together (8); stored layers above
        ``memory_gb`` (4 GB) are read that way, with bit-identical weights.
    precision
        Precision of products in training (``float32``, or ``bfloat16``); all else is float32.
    resume
        Keeps the state between epochs, and loads it after an interruption.

    Raises
    ------
    SettingsError
        A value that :class:`kc.settings.reconstruction.Consistency` does not accept.
    FeatureError
        Shapes or numbers of images do not match, a value is not finite, a feature is constant, or
        there are too few images.
    StoreError
        The stored layers list different images.
    """
    settings = _settings_of(given)
    pair = pair_up(source, target, torch.device(device), block_rows, settings.memory_gb)
    return fit_pair(pair, settings, FitRun(train, seed, epochs, choose, initial, resume))


def fit_pair(pair: FeaturePair, settings: Consistency, run: FitRun) -> FitResult:
    """Fit g to a pair of features; see :func:`fit`. The penalty is a number."""
    rows, is_paper = rows_of(run.train, len(pair)), settings.preset == "paper"
    fitted, held = cut(rows, run.seed) if run.held is None else apart(rows, run.held)
    with exact_products():
        units = units_of(pair, fitted, settings.centring) if is_paper else Normalisation()
        net = run.initial or ConsistencyNet(
            pair.source_shape,
            pair.target_shape,
            settings.order,
            settings.kernel_size,
            sigma="dataset" if is_paper else "image",
            seed=run.seed,
            gain=settings.gain,
            rank=common_rank([(pair.source_shape, pair.target_shape)], len(rows), settings),
        )
        check_fitting(net, pair)
        net = net.to(pair.device)
        task = FitTask(pair, units, fitted, held, settings, run.seed)
        recipe: FitRecipe
        if is_paper:
            optimiser = settings.optimiser
            recipe = Rounds(net, optimiser, run.epochs or optimiser.epochs, run.choose)
            recipe.warm = run.initial is not None
        else:
            recipe = Released(net, run.epochs or EPOCHS, run.choose)
        progress = _search(net, task, recipe, run.resume)
        net.load_state_dict(progress.best.state)
        settle_variance(net, task, rows)
    net.eval()
    lines = pd.DataFrame([entry.line() for entry in progress.entries])
    about = FitAbout(settings.preset, settings.centring, task.penalty, run.seed, progress.settled)
    return FitResult(net, lines, units, rows, held, progress.best.entry, about, progress.linear)


def _settings_of(given: FitSettings) -> Consistency:
    """Check the arguments by the model of the settings."""
    unknown = sorted({*given} - {*FitSettings.__annotations__})
    if unknown:
        raise TypeError(f"fit() got an unexpected keyword argument '{unknown[0]}'")
    named = {{"buffer_blocks": "buffer_shards"}.get(n, n): v for n, v in given.items()}
    try:
        settings = Consistency.model_validate({n: v for n, v in named.items() if v is not None})
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']} (got {fault['input']!r})"
            for fault in error.errors()
        )
        raise SettingsError(f"fit: {faults}. Fix: correct these arguments") from None
    if isinstance(settings.penalty, str):
        raise SettingsError(f"fit: penalty '{settings.penalty}': expected a number. Fix: pass one")
    return settings


def _search(
    net: ConsistencyNet, task: FitTask, recipe: FitRecipe, resume: Resume | None
) -> Progress:
    """Start or resume, and train."""
    left = resume.load(net, recipe.optimiser) if resume else None
    progress = left or recipe.begin(net, task)

    def save() -> None:
        if resume is not None:
            resume.save(net, recipe.optimiser, progress)

    optimise(net, task, recipe, progress, save)
    return progress


def units_of(pair: FeaturePair, rows: Rows, centring: Centring) -> Normalisation:
    """Return means and standard deviation of each layer; the source resized as for g."""
    of_source, of_target = Moments(), Moments()
    for x, y in pair.in_order(rows):
        axis = 1 if x.ndim == 4 else -1
        of_source.add(match_size(x, pair.target_shape)[None], axis)
        of_target.add(y[None], axis)
    sides = of_source, of_target
    deviations = [float(found.variance(centring)[0]) ** 0.5 for found in sides]
    for side, deviation, found in zip(("source", "target"), deviations, sides, strict=True):
        if deviation <= 1e-7 * max(1.0, abs(float(found.global_mean[0]))):
            small = f" (standard deviation {deviation:.2g})" if deviation else ""
            fix = "multiply the features, if this is not rounding; else " if deviation else ""
            raise FeatureError(
                f"{side}: the feature is constant over the {len(rows)} images g is fitted on"
                f"{small}; there is nothing to reconstruct. Fix: {fix}check the network, or "
                "take another layer."
            )
    if centring == "layer":
        means: list[float | Tensor] = [float(found.global_mean[0]) for found in sides]
    else:
        shape = (-1, 1, 1) if len(pair.target_shape) == 3 else (-1,)
        means = [found.mean[0].float().reshape(shape) for found in sides]
    return Normalisation(means[0], deviations[0], means[1], deviations[1])
