"""Choose the batch size by the free memory, and estimate the memory of a fit."""

import resource
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil
import torch

from kc.consistency.linear import LEADING, MANY
from kc.consistency.net import channels_of, inputs_of, positions_of
from kc.consistency.order import VALIDATION_SHARE
from kc.consistency.rank import common_rank
from kc.errors import FeatureError
from kc.names import Shape, spell_bytes
from kc.settings.reconstruction import Consistency

PART = 0.25
"""Share of the free memory a batch may take."""
STATE = 6
"""Numbers kept for each weight of g: value, gradient, three of the optimiser, the best value."""
EIGEN = 6
"""Matrices of float64 held while a square one is decomposed and used."""
SCATTERED = 1.9
"""Bytes the allocator takes per requested byte: 1.6 to 2.6 in comparisons of 1,000 to 4,000 units
(it keeps freed memory, and the next matrix does not always fit into it)."""
GROUPS = Path("/sys/fs/cgroup")
CONTROLLERS = {
    "": ("", "memory.max", "memory.current", "inactive_file"),
    "memory": (
        *("memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
        "total_inactive_file",
    ),
}
"""Control groups, versions 2 and 1: folder, files of limit and use, and the droppable cache."""


def batch_size(most: int, bytes_each: int, device: torch.device) -> int:
    """Return the number of pictures of a batch: at most ``most``, fewer if memory is short.

    ``bytes_each``: bytes that one picture takes on its way through the network.
    """
    return max(1, min(most, int(PART * free_bytes(device)) // bytes_each))


def free_bytes(device: torch.device) -> int:
    """Return the bytes this process may still take: by machine, control groups and limits."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    free = [int(psutil.virtual_memory().available), *left_to_groups()]
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    if most != resource.RLIM_INFINITY:
        free.append(most - int(psutil.Process().memory_info().vms))
    return max(0, min(free))


def left_to_groups(root: Path = GROUPS, groups: Path = Path("/proc/self/cgroup")) -> Iterator[int]:
    """List the bytes that each control group of this process may still take, if it has a limit.

    File cache that the system can drop counts as free.
    """
    try:
        lines = [line.split(":", 2) for line in groups.read_text().splitlines()]
    except OSError:
        return
    for _, controllers, name in lines:
        if controllers not in CONTROLLERS:
            continue
        below, limit, usage, dropped = CONTROLLERS[controllers]
        inner = root / below / name.strip("/")
        for folder in (inner, *inner.parents):
            if not folder.is_relative_to(root / below):
                break
            try:
                most, used = (int((folder / file).read_text()) for file in (limit, usage))
                about = dict(map(str.split, (folder / "memory.stat").read_text().splitlines()))
            except (OSError, ValueError):  # without a limit the file says max
                continue
            yield most - used + int(about.get(dropped, 0))


def check_memory(
    what: str,
    pairs: Iterable[tuple[Shape, Shape]],
    images: int,
    settings: Consistency,
    device: torch.device,
) -> None:
    """Refuse fits of source to target shapes that take more memory than is free.

    Raises
    ------
    FeatureError
        The error gives both numbers.
    """
    for source, target in pairs:
        needed, free = fit_bytes(source, target, images, settings), free_bytes(device)
        if needed > free:
            raise FeatureError(
                f"{what}: g from {' x '.join(map(str, source))} to {' x '.join(map(str, target))} "
                f"takes about {spell_bytes(needed)} of memory, {spell_bytes(free)} are free. It "
                f"grows with the square of the channels. Fix: {_fix(target)}, or more "
                "memory."
            )


def _fix(target: Shape) -> str:
    if len(target) > 1:
        return "a smaller --rank, a layer of fewer channels, --align pool"
    return (
        "a layer of fewer units, --rank auto, or save principal components in place of units: "
        "u, s, _ = numpy.linalg.svd(x - x.mean(0), full_matrices=False); x = (u * s)[:, :1000]"
    )


def fit_bytes(source: Shape, target: Shape, images: int, settings: Consistency) -> int:
    """Estimate the bytes that a fit takes in addition to the features, within a factor of 1.5.

    ``images``: training images, the validation cut among them.
    """
    width, wide = channels_of(source), channels_of(target)
    field = settings.kernel_size if len(target) == 3 else 1
    rank = common_rank([(source, target)], images, settings)
    outputs = [wide, *[width] * settings.order]
    if rank is None:
        weights = sum(inputs_of(field, source) * output for output in outputs)
    else:
        middle = (rank * field) ** 2 if len(target) == 3 else 0
        weights = sum(rank * (width + output) + middle for output in outputs)
    if settings.preset == "released":
        return int(SCATTERED * 4 * STATE * weights)
    # the optimiser keeps a basis of the inputs of each W
    state = 4 * (STATE * weights + len(outputs) * width**2)
    fitted = round(images * (1 - VALIDATION_SHARE))
    solve = _solve_bytes(source, target, fitted, field)
    return int(SCATTERED * (state + max(8 * EIGEN * width**2, solve)))


def linear_bytes(source: Shape, target: Shape, images: int, field: int) -> int:
    """Estimate the bytes of the best linear map of a field, in addition to the features."""
    weight = 4 * inputs_of(field, source) * channels_of(target)
    return int(SCATTERED * (weight + _solve_bytes(source, target, images, field)))


def _solve_bytes(source: Shape, target: Shape, images: int, field: int) -> int:
    """Estimate the most bytes that :func:`kc.consistency.linear.best_linear` holds."""
    units, positions = inputs_of(field, source), images * positions_of(target)
    if units > positions and positions <= MANY:
        return 8 * EIGEN * positions**2
    some = units if units <= MANY else LEADING
    return 8 * (EIGEN * some**2 + 3 * some * channels_of(target))
