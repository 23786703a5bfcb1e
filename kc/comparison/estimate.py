"""Estimate how long fits will take and how large stores will be."""

import math
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

import torch

from kc.comparison.settings import CompareSettings
from kc.consistency.equations import POSITIONS, STRENGTHS
from kc.consistency.net import channels_of, inputs_of, positions_of
from kc.consistency.rank import common_rank
from kc.errors import StoreError
from kc.names import Shape
from kc.store import ArraySpec

USUAL_STEPS = 700
"""Steps of a fit: half of the default's finish after 680, eight of ten after 320 to 1,650."""
OVERHEAD = 0.5
"""Seconds that a fit of any size takes."""
SOLVES = len(STRENGTHS) / 3
"""Operations of the Cholesky factorisations of all strengths, in units of the side cubed."""
SLOWER = 3.0
"""Factor by which a fit's operations are slower than a matrix product, about."""


def seconds_of(
    source: Shape, target: Shape, images: int, settings: CompareSettings, rate: float
) -> float:
    """Estimate the seconds of one fit on ``images`` training images, within a factor of three.

    ``rate``: operations per second.
    """
    return OVERHEAD + operations_of(source, target, images, settings) * SLOWER / rate


def operations_of(source: Shape, target: Shape, images: int, settings: CompareSettings) -> float:
    """Count the operations of one fit.

    Three times a forward pass for each epoch, then the normal equations of W(0), solved three
    times.
    """
    width, wide, places = channels_of(source), channels_of(target), positions_of(target)
    patch = inputs_of(settings.consistency.kernel_size, source)
    order, optimiser = settings.consistency.order, settings.consistency.optimiser
    epochs = min(optimiser.epochs, -(-USUAL_STEPS * optimiser.batch_size // images))
    forward = 2 * images * places * patch * (order * width + wide)
    rank = common_rank([(source, target)], images, settings.consistency)
    if rank is not None:
        each = rank * (order * 2 * width + width + wide + (order + 1) * patch // width * rank)
        forward = 2 * images * places * each
    solve = linear_operations(source, target, images, settings.consistency.kernel_size)
    # evaluation, Sigma and starts are passes over the images too
    passes = 3 * epochs + 3 * order + 8
    return passes * forward + 3 * solve


def linear_operations(source: Shape, target: Shape, images: int, field: int) -> float:
    """Count the operations of the best linear map of a field."""
    wide, positions = channels_of(target), images * positions_of(target)
    # the dual, where positions are fewer: no matrix has more rows than they are
    patch = min(inputs_of(field, source), positions)
    return 2 * min(positions, POSITIONS) * patch * (patch + wide) + SOLVES * patch**3


def flattened_operations(source: Shape, target: Shape, images: int) -> float:
    """Count the operations of the best linear map of whole images, in the dual."""
    units = math.prod(source) + math.prod(target)
    return 4 * float(images) ** 2 * units + SOLVES * float(images) ** 3


def matrix_rate(device: torch.device) -> float:
    """Multiply two matrices and return the operations per second."""
    side = 512 if device.type == "cpu" else 4096
    x = torch.ones(side, side, device=device)
    best = math.inf
    for _ in range(3):
        begun = time.perf_counter()
        float((x @ x)[0, 0])
        best = min(best, time.perf_counter() - begun)
    return 2 * side**3 / best


def check_space(specs: Iterable[ArraySpec], place: Path) -> int:
    """Return the bytes that arrays take; refuse more than the disk has free for them.

    ``place``: where they are written. What a former run left there is written over or kept.

    Raises
    ------
    StoreError
        There is too little space; the error gives both numbers.
    """
    listed = list(specs)
    names = [spec.name for spec in listed]
    needed = sum(math.prod(spec.shape) * spec.disk_dtype.itemsize for spec in listed)
    place.parent.mkdir(parents=True, exist_ok=True)
    there = sum(file.stat().st_size for file in place.rglob("*") if file.is_file())
    free = shutil.disk_usage(place.parent).free + there
    if needed > free:
        raise StoreError(
            f"{place}: {', '.join(names[:3])}{' and others' if len(names) > 3 else ''}"
            f" take {needed / 1e9:.3g} GB, {free / 1e9:.3g} GB are free. Fix: use fewer layers "
            "(--layers a,b,c), fewer or smaller images, or another --out."
        )
    return needed


def spell_seconds(seconds: float) -> str:
    """Format a time in seconds, minutes or hours."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
