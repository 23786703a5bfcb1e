"""Fit g: x* from x, stopped on a validation cut of the training images [L20, Eq. (2)]."""

import math
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, Unpack

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from pydantic import ValidationError

from kc.consistency import start
from kc.consistency.data import FeaturePair, pair_up
from kc.consistency.decompose import Normalisation, exact_products
from kc.consistency.net import ConsistencyNet, match_size
from kc.consistency.optimise import (
    RELEASED_EPOCHS,
    Candidate,
    Choose,
    Entry,
    FitRecipe,
    FitTask,
    Progress,
    Stage,
    entry_of,
    mean_squared_error,
    offer,
    optimise,
    paper_recipe,
    released_recipe,
    settle_variance,
)
from kc.consistency.order import Rows, cut, rows_of
from kc.consistency.result import FitResult, check_fitting
from kc.consistency.resume import Begun, Resume
from kc.consistency.variance import Moments
from kc.errors import FeatureError, SettingsError
from kc.settings.reconstruction import Consistency, Optimiser

SHUT = -20.0
"""Logit of a gain that lets nothing through: p = 2e-9."""
OPENINGS = (0.0, -2.0)
"""Logits tried for the gains at the start: p = 0.5 (the released code's) and p = 0.12, since p
sinks slowly; W(0) is solved for each and the better objective on the validation cut decides."""


class FitSettings(TypedDict, total=False):
    """What :func:`fit` takes of the settings, by the names it has for them."""

    order: int
    penalty: float
    preset: Literal["paper", "released"]
    optimiser: Optimiser | None
    kernel_size: int
    buffer_blocks: int
    memory_gb: float
    precision: Literal["float32", "bfloat16"]


class FitKeywords(FitSettings, total=False):
    """All that :func:`fit` takes beside the features."""

    train: ArrayLike | None
    seed: int
    epochs: int | None
    choose: Choose
    initial: ConsistencyNet | None
    resume: Resume | None
    device: torch.device | str
    block_rows: int


@dataclass(frozen=True)
class FitRun:
    """What one fit has of its own, beside the settings it may share; see :func:`fit`."""

    train: ArrayLike | None = None
    seed: int = 0
    epochs: int | None = None
    choose: Choose = "validation"
    initial: ConsistencyNet | None = None
    resume: Resume | None = None


def fit(source: Any, target: Any, **about: Unpack[FitKeywords]) -> FitResult:
    """Fit g from ``source`` to ``target``, features of the same images.

    Under ``paper``, W(0) starts in closed form: the best linear map (all gains shut: the
    history's ``start``), then solved again with the gains open (``OPENINGS``); AdamW trains all,
    and W(0) is solved once more for the higher orders found (``refit``). Of start, epochs and
    refit the one with the best objective on the validation cut is kept, so g is never worse there
    than the linear map. Under ``released``, Adam and the schedule of the authors' code from
    random weights.

    Parameters
    ----------
    source, target
        Arrays, tensors or stored layers: vectors (n, d), maps (n, c, h, w), tokens (n, t, d).
    order, kernel_size
        K (default: 2), and the side of the convolutions (3).
    penalty
        lambda on sum p^2 (0.1). Under ``paper`` it counts on normalised features.
    preset
        ``paper`` (the default): one mean and deviation a layer (of the images g is fitted on,
        without the validation cut), Sigma over images. ``released``: raw features, Sigma per image.
    optimiser
        Of the preset ``paper``; of ``released`` only ``validation_share`` counts.
    train
        Mask or indices of the training images; None: all. No other row is looked at.
    seed
        Of the weights, the validation cut and the order of the images (0).
    device
        Where g is fitted (the CPU).
    epochs
        In place of the preset's number.
    choose
        ``validation`` (the default): keep the best on the validation cut; ``last``: the last epoch.
    initial
        A network to train from, in normalised units, in place of fresh weights and closed forms.
    block_rows, buffer_blocks
        Rows shuffled as one block (256), and blocks shuffled together (8); stored layers above
        ``memory_gb`` (4 GB) are read that way, with the same weights to the bit.
    precision
        Of the products while training (``float32``, or ``bfloat16``); everything after is float32.
    resume
        Where the state is kept between epochs, and found when an earlier attempt was killed.

    Raises
    ------
    SettingsError
        A value :class:`kc.settings.whole.Consistency` does not take.
    FeatureError
        Shapes that do not fit, different numbers of images, values that are not finite,
        constant features, too few images.
    StoreError
        Stored layers that list different images.
    """
    own: dict[str, Any] = dict(about)
    device, block_rows = own.pop("device", "cpu"), own.pop("block_rows", 256)
    given = {name: own.pop(name) for name in FitSettings.__annotations__ if name in own}
    settings, run = _settings_of(given), FitRun(**own)
    pair = pair_up(source, target, torch.device(device), block_rows, settings.memory_gb)
    return fit_pair(pair, settings, run)


def fit_pair(pair: FeaturePair, settings: Consistency, run: FitRun) -> FitResult:
    """Fit g to features that are paired up; see :func:`fit`. The penalty is a number."""
    rows, is_paper = rows_of(run.train, len(pair)), settings.preset == "paper"
    fitted, held = cut(rows, settings.optimiser.validation_share, run.seed)
    with exact_products():
        units = _units(pair, fitted) if is_paper else Normalisation()
        net = run.initial or ConsistencyNet(
            pair.source_shape,
            pair.target_shape,
            settings.order,
            settings.kernel_size,
            sigma="dataset" if is_paper else "image",
            seed=run.seed,
        )
        check_fitting(net, pair)
        net = net.to(pair.device)
        task = FitTask(pair, units, fitted, held, settings, run.seed)
        if is_paper:
            epochs = run.epochs or settings.optimiser.epochs
            recipe = paper_recipe(net, settings.optimiser, epochs, run.choose)
        else:
            recipe = released_recipe(net, run.epochs or RELEASED_EPOCHS, run.choose)
        closed = is_paper and settings.optimiser.closed_form_start and run.initial is None
        chosen, history = _search(net, task, recipe, closed, run.resume)
        net.load_state_dict(chosen.state)
        settle_variance(net, task, rows)
    net.eval()
    lines = pd.DataFrame([entry.line() for entry in history])
    return FitResult(
        net, lines, units, rows, held, chosen.entry, settings.preset, task.penalty, run.seed
    )


def _settings_of(given: dict[str, Any]) -> Consistency:
    """Check what was given as the settings' own model does."""
    named = {{"buffer_blocks": "buffer_shards"}.get(n, n): v for n, v in given.items()}
    try:
        settings = Consistency.model_validate({n: v for n, v in named.items() if v is not None})
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']} (got {fault['input']!r})"
            for fault in error.errors()
        )
        raise SettingsError(f"fit: {faults}. Cure: mend what is passed") from None
    if isinstance(settings.penalty, str):
        raise SettingsError(f"fit: penalty '{settings.penalty}': expected a number. Cure: pass one")
    return settings


def _search(
    net: ConsistencyNet, task: FitTask, recipe: FitRecipe, closed: bool, resume: Resume | None
) -> tuple[Candidate, list[Entry]]:
    """Start (or go on), train and refit; give the candidate to keep and every entry."""
    left = resume.load(net, recipe.optimiser) if resume else None
    begun = left or Begun(_start(net, task, closed), Progress([]))
    first, progress = begun

    def save() -> None:
        if resume is not None:
            resume.save(net, recipe.optimiser, begun)

    trained = optimise(net, task, recipe, progress, save)
    history = [first.entry, *progress.entries]
    if recipe.choose == "last":
        return trained, history
    candidates = [first, trained]
    if closed and net.order > 0:
        net.load_state_dict(trained.state)
        settle_variance(net, task, task.fitted)
        _solve(net, task)
        candidates.append(_measured(net, task, trained.entry.epoch, "refit"))
        history.append(candidates[-1].entry)
    return min(candidates, key=lambda candidate: candidate.entry.objective), history


def _start(net: ConsistencyNet, task: FitTask, closed: bool) -> Candidate:
    """Offer the start and leave ``net`` where training begins.

    A closed form is offered with its gains shut; training begins with them open.
    """
    if not closed:
        settle_variance(net, task, task.fitted)
        return _measured(net, task, 0, "start")
    orders = range(net.order, 0, -1)
    settle_variance(net, task, task.fitted, orders[:1])
    _set_gains(net, SHUT)
    _solve(net, task)
    first, opened = _measured(net, task, 0, "start"), []
    for logit in OPENINGS if net.order else ():
        _set_gains(net, logit)
        settle_variance(net, task, task.fitted, orders[1:])
        _solve(net, task)
        # compared on the validation cut alone, and never listed
        opened.append(offer(entry_of(net, task, 0, "start", train_mse=math.nan), net))
    best = min(opened, key=lambda candidate: candidate.entry.objective, default=first)
    net.load_state_dict(best.state)
    return first


def _set_gains(net: ConsistencyNet, logit: float) -> None:
    with torch.no_grad():
        net.logits.fill_(logit)


def _solve(net: ConsistencyNet, task: FitTask) -> None:
    """Solve W(0) in closed form under the present orders above it."""
    positions = len(task.fitted) * int(np.prod(net.target_shape)) // net.weights[0].shape[0]
    start.set_ridge_start(
        net, task.in_order(task.fitted), task.in_order(task.held), positions, task.seed
    )


def _measured(net: ConsistencyNet, task: FitTask, epoch: int, stage: Stage) -> Candidate:
    """Offer the present weights and Sigma."""
    train_mse = mean_squared_error(net, task, task.fitted)
    return offer(entry_of(net, task, epoch, stage, train_mse), net)


def _units(pair: FeaturePair, rows: Rows) -> Normalisation:
    """Take one mean and one deviation of each layer; the source at the size g sees."""
    of_source, of_target = Moments(), Moments()
    for x, y in pair.in_order(rows):
        axis = 1 if x.ndim == 4 else -1
        of_source.add(match_size(x, pair.target_shape)[None], axis)
        of_target.add(y[None], axis)
    deviations = [float(found.global_variance[0]) ** 0.5 for found in (of_source, of_target)]
    for side, deviation, found in zip(
        ("source", "target"), deviations, (of_source, of_target), strict=True
    ):
        if deviation <= 1e-7 * max(1.0, abs(float(found.global_mean[0]))):
            raise FeatureError(
                f"{side}: the feature is constant over the {len(rows)} images g is fitted on; "
                "there is nothing to reconstruct. Cure: look at the network, or take another layer."
            )
    return Normalisation(
        float(of_source.global_mean[0]),
        deviations[0],
        float(of_target.global_mean[0]),
        deviations[1],
    )
