"""The released search: gradient descent that stops at the target mean entropy."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from kc.concepts.probe import Probe
from kc.concepts.settings import START, EntropySettings
from kc.concepts.units import entropy_of


class Found(NamedTuple):
    """The final sigma of each image."""

    sigma: Float[Tensor, "n grid grid"]
    mse: Float[Tensor, " n"]
    steps: Int[Tensor, " n"]
    """Number of steps of each image's search."""


class _Walk:
    """State of each image's search; every image has its own step and lambda."""

    def __init__(self, count: int, like: Tensor, settings: EntropySettings) -> None:
        shape = (count, settings.grid, settings.grid)
        self.sigma = torch.full(shape, START, dtype=like.dtype, device=like.device)
        self.kept = self.sigma.clone()
        self.before = self.sigma.clone()
        line = like.new_zeros(count)
        self.mse, self.mse_before, self.mean_before = line.clone(), line.clone(), line.clone()
        self.gap, self.highest = line + torch.inf, line - torch.inf
        self.weight = line + settings.entropy_weight
        self.step = torch.zeros(count, dtype=torch.int64, device=like.device)


def walk(
    probe: Probe, rows: Sequence[int], scale: Float[Tensor, " n"], settings: EntropySettings
) -> Found:
    """Follow the released path for images ``rows``; ``scale`` is their s_f.

    loss = MSE / s_f - lambda * mean(H). A step clips sigma, measures MSE and H, then moves:
    sigma <- clip(sigma) - lr (d MSE / s_f - lambda / (G sigma)). After ``boost_step`` steps the
    search ends if the highest mean H exceeds the target, else lambda grows. As many images as fit
    in ``max_batch`` are searched at a time; when one ends, the next starts.
    """
    state = _Walk(len(rows), scale, settings)
    waiting = list(range(len(rows)))
    room = max(1, settings.max_batch // settings.draws)
    while waiting:
        now, waiting = waiting[:room], waiting[room:]
        at = torch.tensor(now, device=scale.device)
        ended = _advance(probe, rows, scale, settings, state, at)
        waiting = [one for one, end in zip(now, ended.tolist(), strict=True) if not end] + waiting
    return Found(state.kept, state.mse, state.step)


def _advance(
    probe: Probe,
    rows: Sequence[int],
    scale: Tensor,
    settings: EntropySettings,
    state: _Walk,
    at: Tensor,
) -> Tensor:
    """Take one step with the images ``at``; return which of them have ended."""
    sigma = state.sigma[at].clamp(settings.sigma_min, settings.sigma_max)
    steps = state.step[at]
    response = probe.respond([rows[i] for i in at.tolist()], sigma, steps.tolist(), settings.draws)
    mean = entropy_of(sigma).mean((1, 2))
    crossed = _keep(state, at, sigma, response.mse, mean, settings)
    slope = response.gradient / scale[at, None, None]
    state.sigma[at] = move(sigma, slope, state.weight[at], settings)
    state.step[at] = steps + 1
    boosting = steps + 1 == settings.boost_step
    enough = state.highest[at] > settings.target
    state.weight[at] *= torch.where(boosting & ~enough, settings.boost, 1.0)
    return crossed | (boosting & enough) | (steps + 1 == settings.steps)


def _keep(
    state: _Walk, at: Tensor, sigma: Tensor, mse: Tensor, mean: Tensor, settings: EntropySettings
) -> Tensor:
    """Record the sigma whose mean H is nearest to the target, the earlier on ties."""
    state.highest[at] = torch.maximum(state.highest[at], mean)
    crossed = torch.zeros_like(mean, dtype=torch.bool)
    if settings.stop == "crossing":
        crossed = (mean >= settings.target) & (state.step[at] > 0)
        part = (settings.target - state.mean_before[at]) / (mean - state.mean_before[at])
        part = torch.where(crossed, part, 1.0)
        between = torch.lerp(state.before[at].log(), sigma.log(), part[:, None, None]).exp()
        state.before[at], state.mean_before[at] = sigma, mean
        mean = torch.where(crossed, settings.target, mean)
        sigma, seen = between, mse
        mse = torch.lerp(state.mse_before[at], mse, part)
        state.mse_before[at] = seen
    gap = (mean - settings.target).abs()
    nearer = gap < state.gap[at]
    state.gap[at] = torch.where(nearer, gap, state.gap[at])
    state.mse[at] = torch.where(nearer, mse, state.mse[at])
    state.kept[at] = torch.where(nearer[:, None, None], sigma, state.kept[at])
    return crossed


def move(
    sigma: Float[Tensor, "k grid grid"],
    slope: Float[Tensor, "k grid grid"],
    weight: Float[Tensor, " k"],
    settings: EntropySettings,
) -> Float[Tensor, "k grid grid"]:
    """Take one step of the flow d sigma / dt = -slope + lambda / (G sigma), dt = learning rate.

    ``exponential`` treats A = slope / sigma, which is constant for a linear layer, as fixed and
    solves d sigma^2 / dt = -2 A sigma^2 + 2 lambda / G, so that it is stable for any step.
    """
    push = (weight / settings.grid**2)[:, None, None]
    if settings.integrator == "euler":
        return sigma - settings.learning_rate * (slope - push / sigma)
    decay = 2 * settings.learning_rate * slope / sigma
    # (1 - exp(-d)) / d, which is 1 at d = 0
    tame = decay.clamp(min=-5)
    gain = torch.where(tame.abs() < 1e-6, 1.0, -torch.expm1(-tame) / tame.where(tame != 0, 1.0))
    squared = sigma.square() * torch.exp(-tame) + 2 * settings.learning_rate * push * gain
    return squared.sqrt()
