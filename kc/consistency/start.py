"""Solve W(0) in closed form: ridge regression on its inputs.

With all gains 0 this is the best linear map from source to target, the start of a fit; after
training it is the best W(0) for the given higher orders. Of a factorised W(0) the first factor is
set once, from the full map; the other factors are solved each time.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from kc.consistency.basis import InputMoments
from kc.consistency.equations import equations_of, ridge
from kc.consistency.linear import LinearMap, best_linear, moments_of
from kc.consistency.net import ConsistencyNet
from kc.consistency.task import FitTask

FLOOR = 1e-6
"""In units of the largest eigenvalue: directions below it do not choose channels."""


def solve(net: ConsistencyNet, task: FitTask) -> InputMoments:
    """Set W(0) to its ridge solution for the current higher orders; return its input's moments.

    The validation cut chooses the ridge strength.
    """
    if net.rank is not None:
        _solve_after_first(net, task)
        return moments_of(net, task)
    found, moments = best_linear(net, task)
    with torch.no_grad():
        net.weights[0].copy_(found.dense())
    return moments


@torch.no_grad()
def solve_first(net: ConsistencyNet, task: FitTask) -> LinearMap:
    r"""Set the first factor of W(0) to the channels the full map uses; return that map.

    With S the second moments of channels and T the taps of the map, those directions are the
    leading ones of :math:`S^{1/2} T T^\top S^{1/2}`: for independent neighbours they lose the
    least of the map's output.
    """
    found, moments = best_linear(net, task)
    channels = moments.channels
    if found.leading is not None:
        leading = found.leading.flatten(1).double()
        channels = leading @ channels @ leading.T
    values, vectors = torch.linalg.eigh(channels)
    roots = values.clamp_min(FLOOR * float(values[-1])).sqrt()
    taps = found.weight.transpose(0, 1).flatten(1)
    products = (taps @ taps.T).double()
    used = torch.linalg.eigh((vectors * roots).T @ products @ (vectors * roots))[1]
    first = (vectors / roots @ used.flip(1)[:, : net.rank]).T.float()
    if found.leading is not None:
        first = first @ found.leading.flatten(1)
    # if r is more than the number of channels, the other rows keep their random values
    into = net.factors(0)[0]
    into[: len(first)] = first.reshape(-1, *into.shape[1:])
    return found


@torch.no_grad()
def _solve_after_first(net: ConsistencyNet, task: FitTask) -> None:
    """Solve for what follows the first factor; on maps as the best two factors of that rank."""
    first, *between, last = net.factors(0)
    fitted = equations_of(net, task, task.fitted, first)
    solution = ridge(fitted, equations_of(net, task, task.held, first))
    if not between:
        last.copy_(solution.T)
        return
    directions = _leading_outputs(fitted.patches, solution, last.shape[1])
    between[0].copy_((solution @ directions).T.reshape(between[0].shape))
    last.copy_(directions.reshape(last.shape))


def _leading_outputs(
    patches: Float[Tensor, "u u"], solution: Float[Tensor, "u d"], rank: int
) -> Float[Tensor, "d r"]:
    """Return the principal directions of a solution's output on patches [reduced-rank regression].

    Columns beyond the rank of the solution are zero.
    """
    values, vectors = torch.linalg.eigh(patches)
    made = (vectors * values.clamp_min(0).sqrt()).T @ solution
    squares, left = torch.linalg.eigh(made @ made.T)
    kept = squares.flip(0)[:rank].clamp_min(0)
    there = kept > 1e-12 * kept[0]
    directions = made.T @ left.flip(1)[:, :rank][:, there] / kept[there].sqrt()
    room: Tensor = made.new_zeros(solution.shape[1], rank)
    room[:, : directions.shape[1]] = directions
    return room
