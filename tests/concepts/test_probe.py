"""Estimates of the slope: their mean and their noise."""

import math

import pytest
import torch
from einops import rearrange
from torch import Tensor, nn

from kc.concepts.noise import gaussian, random_signs
from kc.concepts.probe import Probe
from kc.concepts.settings import EntropySettings

CPU = torch.device("cpu")
GRID, SIDE = 4, 8
SIZE = 3 * SIDE * SIDE


def _probe(head: nn.Module, images: Tensor, slope: str, relu: bool = False) -> Probe:
    noise = gaussian((3, SIDE, SIDE), CPU, torch.float64)
    return Probe(
        head.eval(),
        images,
        range(len(images)),
        noise,
        EntropySettings(max_batch=1000, relu=relu, slope=slope),
    )


def _images(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, 3, SIDE, SIDE, generator=generator, dtype=torch.float64)


def _linear(units: int = 10) -> nn.Module:
    generator = torch.Generator().manual_seed(1)
    head = nn.Sequential(nn.Flatten(), nn.Linear(SIZE, units)).double()
    head[1].weight.data = torch.randn(units, SIZE, generator=generator, dtype=torch.float64)
    return head


def _by_cell(pixels: Tensor) -> Tensor:
    """Sum (3, side, side) by cell."""
    return rearrange(pixels, "c (y a) (x b) -> y x (c a b)", y=GRID, x=GRID).sum(-1)


def _exact(seed: int, step: int, draws: int) -> Tensor:
    """Return noise with exact second moments over the draws."""
    generator = torch.Generator().manual_seed(seed)
    square = torch.randn(SIZE, SIZE, generator=generator, dtype=torch.float64)
    return (torch.linalg.qr(square).Q * SIZE**0.5).reshape(draws, 3, SIDE, SIDE)


def test_slope_of_a_linear_layer_is_its_closed_form() -> None:
    head, images = _linear().eval(), _images(2)
    sigma = 0.02 + 0.1 * images[0, :2, :GRID, :GRID].abs()
    cost = _by_cell(head[1].weight.square().sum(0).reshape(3, SIDE, SIDE)) / 10
    settings = EntropySettings(max_batch=100, relu=False)
    exact = Probe(head, images, [0, 1], _exact, settings)  # exact second moments, so no noise
    response = exact.respond([1, 0], sigma, [0, 0], SIZE)
    torch.testing.assert_close(response.gradient, 2 * sigma * cost)
    torch.testing.assert_close(response.mse, (sigma.square() * cost).sum((1, 2)))
    projected = _probe(head, images, "projection").respond([1, 0], sigma, [0, 0], 30000)
    torch.testing.assert_close(projected.gradient, 2 * sigma * cost, rtol=0.03, atol=0)


def test_projection_is_far_less_noisy_at_the_same_draws() -> None:
    head, sigma = _linear(), torch.full((1, GRID, GRID), 0.01, dtype=torch.float64)

    def spread(slope: str) -> float:
        probe = _probe(head, _images(1), slope)
        seen = [probe.respond([0], sigma, [step], 8).gradient for step in range(60)]
        return float((torch.cat(seen).std(0) / torch.cat(seen).mean(0)).mean())

    noisy, quiet = spread("noise"), spread("projection")
    assert quiet < 0.5 * noisy


class _Square(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1).square()


def test_projection_includes_curvature_only_in_total() -> None:
    # f = x^2: MSE = mean of 4 x^2 s^2 + 3 s^4
    images, sigma = _images(1), torch.full((1, GRID, GRID), 0.5, dtype=torch.float64)
    squares, fourth = _by_cell(images[0].square()) / SIZE, 1 / GRID**2 * 0.5**3
    exact = 8 * squares * 0.5 + 12 * fourth
    shape = 8 * squares * 0.5 + 8 * fourth
    total = 2 * (4 * squares * 0.25 + 3 * fourth * 0.5).sum()
    projected = shape * total / (shape * 0.5).sum()
    for slope, expected in (("noise", exact), ("pairs", exact), ("projection", projected)):
        found = _probe(_Square(), images, slope).respond([0], sigma, [0], 60000).gradient[0]
        torch.testing.assert_close(found, expected, rtol=0.03, atol=0)
    assert (exact / projected).min() > 1.05


class _Pooled(nn.Module):
    """Max-pool the upper half, whose flat pixels tie; sum the lower half."""

    def forward(self, x: Tensor) -> Tensor:
        upper = nn.functional.max_pool2d(x[:, :, : SIDE // 2], 2)
        lower = 0.6 * x[:, :, SIDE // 2 :]
        return torch.cat([upper.flatten(1), lower.flatten(1)], 1)


def test_pairs_include_most_of_the_curvature_of_max_pooling() -> None:
    images = torch.zeros(1, 3, SIDE, SIDE, dtype=torch.float64)
    sigma = torch.full((1, GRID, GRID), 0.05, dtype=torch.float64)

    def share(slope: str, draws: int) -> float:
        """Return the upper half's share of the slope."""
        found = _probe(_Pooled(), images, slope).respond([0], sigma, [0], draws).gradient[0]
        return float(found[: GRID // 2].sum() / found.sum())

    # the maximum of four normals has mean square 1.0297^2 + 0.4917; a quarter as many units
    upper, lower = 1.0297**2 + 0.4917, 4 * 0.36
    exact = upper / (upper + lower)
    assert share("noise", 20000) == pytest.approx(exact, abs=0.02)
    # not all: the odd half of a maximum is treated as linear
    assert share("pairs", 20000) == pytest.approx(exact, abs=0.06)
    assert share("projection", 20000) < exact - 0.1


class _Wave(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1).sin()


def test_pairs_measure_the_saturation_of_an_odd_layer() -> None:
    # around 0 all of sin is odd: E sin(s eps)^2 = (1 - exp(-2 s^2)) / 2
    images = torch.zeros(1, 3, SIDE, SIDE, dtype=torch.float64)
    sigma = torch.full((1, GRID, GRID), 0.5, dtype=torch.float64)
    exact = torch.full_like(sigma, 2 * 0.5 * math.exp(-2 * 0.25) / GRID**2)
    found = _probe(_Wave(), images, "pairs").respond([0], sigma, [0], 60000)
    assert found.mse.item() == pytest.approx((1 - math.exp(-2 * 0.25)) / 2, rel=0.01)
    torch.testing.assert_close(found.gradient, exact, rtol=0.05, atol=0)
    quadratic = 2 * found.mse / (0.5 * GRID**2)
    assert quadratic > 1.2 * exact.max()


def test_pairs_have_little_noise_for_a_linear_layer() -> None:
    head, images = _linear(), _images(1)
    sigma = torch.full((1, GRID, GRID), 0.01, dtype=torch.float64)
    slopes = [
        _probe(head, images, slope).respond([0], sigma, [0], 8).gradient
        for slope in ("pairs", "projection")
    ]
    cost = _by_cell(head[1].weight.detach().square().sum(0).reshape(3, SIDE, SIDE)) / 10
    for slope in slopes:  # no noise of other pixels: 8 draws, or 4 pairs, are enough
        share = slope[0] / slope.sum() - cost / cost.sum()
        assert float(share.abs().max()) < 0.05
    together = _probe(head, images, "pairs").respond([0], sigma, [0], 30000)
    torch.testing.assert_close(together.gradient[0], 2 * 0.01 * cost, rtol=0.03, atol=0)
    settings = EntropySettings(max_batch=6, relu=False, slope="pairs")
    noise = gaussian((3, SIDE, SIDE), CPU, torch.float64)
    small = Probe(head.eval(), images, [0], noise, settings)  # pairs stay together in any block
    torch.testing.assert_close(
        small.respond([0], sigma, [0], 8).gradient, slopes[0], rtol=1e-9, atol=0
    )


def test_an_inactive_relu_adds_nothing() -> None:
    head = _linear()
    head[1].bias.data = torch.where(torch.arange(10) < 5, 1e3, -1e3).double()
    sigma = torch.full((1, GRID, GRID), 0.01, dtype=torch.float64)
    found = _probe(head, _images(1), "projection", relu=True).respond([0], sigma, [0], 20000)
    cost = _by_cell(head[1].weight[:5].square().sum(0).reshape(3, SIDE, SIDE)) / 10
    torch.testing.assert_close(found.gradient[0], 2 * 0.01 * cost, rtol=0.05, atol=0)


def test_signs_are_balanced_vary_by_step_and_depend_on_the_seed() -> None:
    draw = random_signs(30, CPU, torch.float64)
    signs = draw(1, 0, 5000)
    assert signs.unique().tolist() == [-1, 1]
    assert (signs.T @ signs / 5000 - torch.eye(30)).abs().max() < 0.07
    assert torch.equal(draw(1, 0, 5000), signs)
    assert not torch.equal(draw(1, 1, 5000), signs)
    assert not torch.equal(draw(2, 0, 5000), signs)


@pytest.mark.parametrize("units", [1, 2, 30, 32])
def test_signs_are_orthogonal_over_one_full_round_of_steps(units: int) -> None:
    size = max(2, 1 << (units - 1).bit_length())
    draw = random_signs(units, CPU, torch.float64)
    for seed in (1, 2):
        signs = torch.cat([draw(seed, step, size // 2) for step in range(2)])
        assert torch.equal(signs.T @ signs, size * torch.eye(units, dtype=torch.float64))
