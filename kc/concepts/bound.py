"""The printed search: the largest entropy whose noise moves the feature by tau at most."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from kc.concepts.path import Found
from kc.concepts.probe import Probe
from kc.concepts.settings import START, EntropySettings

HALVINGS = 16
"""Of the last scaling's bracket [1/1024, 32]: log sigma is then right to 2e-4."""


def fill(
    probe: Probe, rows: Sequence[int], scale: Float[Tensor, " n"], settings: EntropySettings
) -> Found:
    """Maximise mean(H) subject to MSE <= tau s_f [C20, Eq. (1)], for images ``rows``.

    Where the optimum is free, 1 / sigma_g is in proportion to d MSE / d sigma_g = 2 a_g sigma_g.
    So rounds of: measure a_g, average it over the rounds, pour sigma_g^2 = mu / a_g
    (:func:`pour`). For a linear layer a_g is constant and one exact round is the optimum. Last,
    all cells are scaled together until MSE, measured on noise not used before, just stays at tau.
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
        # 2 / (t + 2): the mean settles, and the first rounds, far from the optimum, fade
        average.lerp_(response.gradient / (2 * sigma), 2 / (step + 2))
        sigma = pour(average, limit, settings)
    return sigma


def pour(
    cost: Float[Tensor, "k grid grid"], limit: Float[Tensor, " k"], settings: EntropySettings
) -> Float[Tensor, "k grid grid"]:
    """Return sigma_g = clip(sqrt(mu / a_g)) with mu such that sum a_g sigma_g^2 = limit.

    By bisection on log mu, which is monotone. A cost that is not positive (noise, or a cell that
    nothing looks at) takes the largest sigma. Where the limit is out of reach, all cells do.
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
    """Scale sigma by one factor an image so that MSE comes to the limit from below.

    The least factor takes every sigma near its smallest, which keeps the bound whatever was poured.
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
