"""The printed search: the largest entropy whose noise changes the feature by at most tau."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from kc.concepts.path import Found
from kc.concepts.probe import Probe
from kc.concepts.settings import START, EntropySettings

HALVINGS = 16
"""Bisections of the final scaling in [1/1024, 32]; log sigma is then exact to 2e-4."""


def fill(
    probe: Probe, rows: Sequence[int], scale: Float[Tensor, " n"], settings: EntropySettings
) -> Found:
    """Maximise mean(H) subject to MSE <= tau s_f [C20, Eq. (1)], for images ``rows``.

    At an unconstrained optimum 1 / sigma_g is proportional to d MSE / d sigma_g = 2 a_g sigma_g.
    Each round measures a_g, averages it over the rounds and sets sigma_g^2 = mu / a_g
    (:func:`pour`). For a linear layer a_g is constant and one exact round is the optimum. At the
    end all cells are scaled together until MSE, measured on new noise, reaches tau from below.
    """
    room = max(1, settings.max_batch // settings.draws)
    sigmas, errors = [], []
    for start in range(0, len(rows), room):
        block = list(rows[start : start + room])
        limit = settings.tau * scale[start : start + room]
        sigma = _rounds(probe, block, limit, settings)
        sigma, mse = _scale_to(probe, block, limit, sigma, settings)
        sigmas.append(sigma)
        errors.append(mse)
    steps = torch.full((len(rows),), settings.steps, device=scale.device)
    return Found(torch.cat(sigmas), torch.cat(errors), steps)


def _rounds(
    probe: Probe, rows: list[int], limit: Tensor, settings: EntropySettings
) -> Float[Tensor, "k grid grid"]:
    shape = (len(rows), settings.grid, settings.grid)
    sigma = torch.full(shape, START, dtype=limit.dtype, device=limit.device)
    average = torch.zeros_like(sigma)
    for step in range(settings.steps):
        response = probe.respond(rows, sigma, [step] * len(rows), settings.draws)
        # 2 / (t + 2): the mean converges, and the first rounds, far from the optimum, lose weight
        average.lerp_(response.gradient / (2 * sigma), 2 / (step + 2))
        sigma = pour(average, limit, settings)
    return sigma


def pour(
    cost: Float[Tensor, "k grid grid"], limit: Float[Tensor, " k"], settings: EntropySettings
) -> Float[Tensor, "k grid grid"]:
    """Return sigma_g = clip(sqrt(mu / a_g)) with mu such that sum a_g sigma_g^2 = limit.

    The sum rises with mu, so bisect log mu. A cell whose cost is not positive (noise, or a cell
    without influence) gets the largest sigma. If the limit is out of reach, all cells get it.
    """
    lowest = torch.finfo(cost.dtype).tiny
    cost = cost.clamp(min=lowest)
    low, high = limit.log() - 60, limit.log() + 60

    def level(mu: Tensor) -> Tensor:
        squared = mu[:, None, None].exp() / cost
        return squared.clamp(settings.sigma_min**2, settings.sigma_max**2)

    for _ in range(80):
        middle = (low + high) / 2
        over = (cost * level(middle)).sum((1, 2)) > limit
        low, high = torch.where(over, low, middle), torch.where(over, middle, high)
    return level(low).sqrt()


def _scale_to(
    probe: Probe, rows: list[int], limit: Tensor, sigma: Tensor, settings: EntropySettings
) -> tuple[Tensor, Tensor]:
    """Scale sigma by one factor per image so that MSE reaches the limit from below.

    The smallest factor brings every sigma near its minimum, which always keeps the bound.
    """
    steps = [settings.steps] * len(rows)
    low, high = torch.full_like(limit, 1 / 1024).log(), torch.full_like(limit, 32).log()

    def at(factor: Tensor) -> tuple[Tensor, Tensor]:
        scaled = sigma * factor.exp()[:, None, None]
        scaled = scaled.clamp(settings.sigma_min, settings.sigma_max)
        return scaled, probe.respond(rows, scaled, steps, settings.draws, gradient=False).mse

    for _ in range(HALVINGS):
        middle = (low + high) / 2
        over = at(middle)[1] > limit
        low, high = torch.where(over, low, middle), torch.where(over, middle, high)
    return at(low)
