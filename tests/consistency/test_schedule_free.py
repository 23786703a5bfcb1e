"""Averaged AdamW: the plain recursion, the effect of a basis, the weights kept."""

import pytest
import torch

from kc.consistency.basis import FLOOR, POWER, Basis, basis_of, traces
from kc.consistency.schedule_free import BETAS, EPSILON, WARM_UP, ScheduleFree


def draw(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def quadratic(curvature, at):
    return 0.5 * (curvature * (at - 1) ** 2).sum()


def plain(start, curvature, steps, rate, decay):
    """Compute Eqs. (3)-(5) as written, with AdamW's direction."""
    z, x, squares, total = start.clone(), start.clone(), torch.zeros_like(start), 0.0
    for step in range(1, steps + 1):
        y = (1 - BETAS[0]) * z + BETAS[0] * x
        gradient = curvature * (y - 1)
        squares = BETAS[1] * squares + (1 - BETAS[1]) * gradient**2
        corrected = squares / (1 - BETAS[1] ** step)
        warm = min(1, step / WARM_UP)
        z = z - rate * warm * (gradient / (corrected.sqrt() + EPSILON) + decay * y)
        weight = step * warm**2
        total += weight
        x = (1 - weight / total) * x + weight / total * z
    return x, (1 - BETAS[0]) * z + BETAS[0] * x


def run(start, curvature, steps, bases=None, rate=0.05, decay=0.1):
    values = torch.nn.Parameter(start.float() if bases else start.clone())
    optimiser = ScheduleFree([{"params": [values], "lr": rate, "weight_decay": decay}])
    optimiser.begin({values: bases} if bases else {})
    for _ in range(steps):
        optimiser.zero_grad()
        quadratic(curvature, values).backward()
        optimiser.step()
    return values, optimiser


def test_the_optimiser_follows_the_plain_recursion():
    start, curvature = draw(1, 3, 4), draw(2, 3, 4).abs()
    values, optimiser = run(start, curvature, 60)
    average, between = plain(start, curvature, 60, 0.05, 0.1)
    torch.testing.assert_close(values.detach(), between)
    optimiser.keep_average()
    torch.testing.assert_close(values.detach(), average)
    assert not torch.allclose(average, between, atol=1e-4)


def test_the_identity_as_basis_changes_nothing_and_another_basis_does():
    start, curvature = draw(1, 3, 4), draw(2, 3, 4).abs()
    identity = Basis(torch.eye(4), torch.eye(1))
    without, _ = run(start, curvature, 20)
    same, _ = run(start, curvature, 20, identity)
    torch.testing.assert_close(same.detach().double(), without.detach(), rtol=1e-4, atol=1e-4)
    stretched = identity._replace(channels=torch.diag(torch.tensor([1.0, 2, 3, 4])))
    other, _ = run(start, curvature, 20, stretched)
    assert not torch.allclose(other.double(), without, atol=1e-3)


def test_a_new_average_keeps_the_weights_and_forgets_the_path():
    start, curvature = draw(1, 3, 4), draw(2, 3, 4).abs()
    values, optimiser = run(start, curvature, 30)
    optimiser.keep_average()
    kept = values.detach().clone()
    optimiser.begin({})
    assert torch.equal(values.detach(), kept)
    state = optimiser.state[values]
    assert float(state["step"]) == 0
    assert torch.equal(state["x"], kept)
    assert not state["squares"].any()


@pytest.mark.parametrize("kernel", [(), (3, 3)])
def test_a_basis_is_the_root_of_the_moments_if_both_factors_are_independent(kernel):
    channels, taps = draw(1, 4, 4), draw(2, 9, 9) if kernel else torch.ones(1, 1).double()
    of_channels, of_taps = channels @ channels.T, taps @ taps.T
    found = basis_of(traces(torch.kron(of_channels, of_taps), 4))
    weight = draw(3, 5, 4, *kernel).float()
    whole = torch.kron(found.channels, found.taps)
    expected = (weight.flatten(1) @ whole).reshape(weight.shape)
    torch.testing.assert_close(found.apply(weight), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        found.inverse.apply(found.apply(weight)), weight, rtol=1e-3, atol=1e-3
    )
    values, vectors = torch.linalg.eigh(of_channels)
    scaled = (values / values.mean() + FLOOR) ** (-POWER / 2)
    root = (vectors * scaled / scaled.mean()) @ vectors.T
    torch.testing.assert_close(found.channels, root.float(), rtol=1e-4, atol=1e-4)
