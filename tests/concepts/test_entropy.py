"""The entropy search against closed forms of a linear layer, and its invariances."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kc.concepts import EntropySettings, pixel_entropy, preset
from kc.concepts.noise import gaussian, image_seed
from kc.concepts.path import move
from kc.concepts.probe import Probe, enlarge, shrink
from kc.errors import FeatureError, SettingsError
from tests.reference import plain_concepts as plain

CPU = torch.device("cpu")
GRID, SIDE = 4, 4
SIZE = 3 * SIDE * SIDE
EXACT = EntropySettings(grid=GRID, draws=SIZE, scale_draws=SIZE, max_batch=2 * SIZE, relu=False)


def _exact(seed: int, step: int, draws: int) -> Tensor:
    """Return noise with exact second moments over the draws, rotated by the seed."""
    generator = torch.Generator().manual_seed(1000 * seed + step + 1)
    square = torch.randn(SIZE, SIZE, generator=generator, dtype=torch.float64)
    return (torch.linalg.qr(square).Q * SIZE**0.5).reshape(draws, 3, SIDE, SIDE)


def _linear(spread: float = 1.0, scale: float = 1.0) -> tuple[nn.Module, np.ndarray]:
    """Return f = Wx, whose cells have different influence, and a_g."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(10, SIZE, generator=generator, dtype=torch.float64)
    weight *= torch.exp(spread * torch.randn(SIDE * SIDE, generator=generator).double()).repeat(3)
    head = nn.Sequential(nn.Flatten(), nn.Linear(SIZE, 10, bias=False)).double().eval()
    head[1].weight.data = weight * scale
    cost = weight.square().sum(0).reshape(3, SIDE, SIDE).sum(0).numpy()
    return head, cost


def _pictures(count: int, side: int = SIDE) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randn(count, 3, side, side, generator=generator, dtype=torch.float64)


def _sigma(entropy: Tensor) -> np.ndarray:
    return (entropy - plain.HALF_LOG).exp().numpy()


def _network() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        layers = [nn.Conv2d(3, 6, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.LazyLinear(12)]
        head = nn.Sequential(*layers)
        head(torch.zeros(1, 3, 20, 20))
    return head.double().eval()


@pytest.mark.parametrize(("spread", "steps"), [(0.3, 60), (1.6, 60), (0.0, 80)])
def test_released_path_is_its_plain_recursion(spread: float, steps: int) -> None:
    head, cost = _linear(spread)
    weight = 7.0 if steps == 60 else 1.5  # a weak lambda has not passed -2.8 by step 60
    settings = replace(EXACT, entropy_weight=weight)
    result = pixel_entropy(head, _pictures(2), settings, [1, 2], CPU, _exact)
    seen, taken, nearest = plain.released_path(cost / cost.sum(), weight)
    assert result.steps.tolist() == [taken, taken] == [steps, steps]
    for entropy in result.H:
        np.testing.assert_allclose(_sigma(entropy), seen[nearest], rtol=1e-9)


def test_target_passed_on_the_way_ends_the_search_though_entropy_fell_again() -> None:
    def louder(seed: int, step: int, draws: int) -> Tensor:
        return _exact(seed, step, draws) * (3 if step >= 30 else 1)

    head, _ = _linear()
    for target, steps in ((-2.8, 60), (-1.0, 80)):
        settings = replace(EXACT, target=target)
        result = pixel_entropy(head, _pictures(1), settings, [1], CPU, louder)
        assert result.steps.tolist() == [steps]


def _sigmas(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """Record the sigma of every step; the first is that of s_f."""
    seen: list[np.ndarray] = []
    ask = Probe.respond

    def listen(self: Probe, rows: Sequence[int], sigma: Tensor, *more: Any, **named: Any) -> Any:
        seen.append(sigma[0].numpy().copy())
        return ask(self, rows, sigma, *more, **named)

    monkeypatch.setattr(Probe, "respond", listen)
    return seen


def test_released_path_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    sigmas = _sigmas(monkeypatch)
    head, cost = _linear(1.0)
    settings = replace(EXACT, target=50.0)  # no step reaches it, so lambda grows at step 60
    pixel_entropy(head, _pictures(1), settings, [1], CPU, _exact)
    steps, _, _ = plain.released_path(cost / cost.sum(), 7.0, target=50.0)
    assert len(sigmas) - 1 == len(steps) == 80
    np.testing.assert_allclose(sigmas[1:], steps, rtol=1e-9)
    assert np.abs(steps[79] - steps[59]).max() > 1e-4


def test_ignored_cell_only_reaches_a_fiftieth_by_step_60() -> None:
    head, _ = _linear()
    ignored = torch.ones(3, SIDE, SIDE, dtype=torch.float64)
    ignored[:, 0, 0] = 0
    head[1].weight.data *= ignored.flatten()
    settings = replace(EXACT, steps=61, target=50.0, entropy_weight=7 * GRID**2 / 256)
    result = pixel_entropy(head, _pictures(1), settings, [1], CPU, _exact)
    assert _sigma(result.H[0])[0, 0] == pytest.approx(0.0207, abs=3e-4)  # method.md: 0.021


@pytest.mark.parametrize("integrator", ["euler", "exponential"])
def test_released_loss_converges_to_its_optimum(
    integrator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sigmas = _sigmas(monkeypatch)
    head, cost = _linear(0.6 if integrator == "euler" else 2.5)
    alpha = cost / cost.sum()
    rate, steps = (1e-4, 600) if integrator == "euler" else (1.0, 100)
    settings = replace(EXACT, steps=steps, learning_rate=rate, integrator=integrator)
    settings = replace(settings, target=50.0, boost=1.0)
    pixel_entropy(head, _pictures(1), settings, [1], CPU, _fixed)
    best = plain.released_optimum(alpha, 7.0)
    # near its optimum a plain step shrinks the distance by 4e4 lr alpha: all of them by exp(-10)
    quick = (4 * steps * alpha > 10) if integrator == "euler" else np.full(best.shape, True)
    assert quick.sum() >= 12
    assert np.ptp(np.log(best[quick])) > 0.5
    assert (best.max() == 1) == (integrator == "exponential")
    np.testing.assert_allclose(sigmas[-1][quick], best[quick], rtol=1e-3)


def _fixed(seed: int, step: int, draws: int) -> Tensor:
    return (torch.eye(SIZE, dtype=torch.float64) * SIZE**0.5).reshape(draws, 3, SIDE, SIDE)


def test_exponential_step_solves_the_flow() -> None:
    # one long step against 20000 short ones of the plain flow
    slope = torch.tensor([[[0.0, 50.0], [-5.0, 400.0]]], dtype=torch.float64)
    sigma = torch.full((1, 2, 2), 0.01, dtype=torch.float64)
    settings = EntropySettings(grid=2, integrator="exponential", learning_rate=4e-3)
    weight = torch.tensor([0.1], dtype=torch.float64)
    fast = move(sigma, slope, weight, settings)
    slow = sigma.clone()
    for _ in range(20000):
        slow -= 4e-3 / 20000 * (slope * slow / 0.01 - 0.1 / (4 * slow))
    torch.testing.assert_close(fast, slow, rtol=1e-3, atol=0)
    # a slope that noise made very negative moves no further than exp(5) in sigma^2, plus the push
    wild = move(sigma, slope - 500, weight, settings)
    assert (wild <= (1e-4 * math.exp(5) + 2e-4 * math.expm1(5) / 5) ** 0.5 * (1 + 1e-9)).all()


@pytest.mark.parametrize("tau", [1.5, 2000.0, 9000.0])
def test_bound_is_the_water_filling_optimum(tau: float) -> None:
    head, cost = _linear(2.5)
    settings = replace(EXACT, search="bound", steps=2, tau=tau)
    result = pixel_entropy(head, _pictures(2), settings, [1, 2], CPU, _exact)
    best = plain.water(cost, tau * 1e-4 * cost.sum())
    if tau > 1000:
        assert 0 < (best == 1).sum() < best.size
    share = (result.mse / result.s_f).numpy()
    assert (share <= tau * (1 + 1e-9)).all()
    np.testing.assert_allclose(share, tau, rtol=1e-3)
    for entropy in result.H:
        np.testing.assert_allclose(_sigma(entropy), best, rtol=1e-3)
        assert entropy.mean() > math.log(0.01) + plain.HALF_LOG


def test_bound_averages_noise_away_over_its_rounds() -> None:
    head, cost = _linear(1.0)
    best = np.log(plain.water(cost, 1.5e-4 * cost.sum()))

    def error(steps: int) -> float:
        settings = replace(EXACT, search="bound", steps=steps, draws=32, scale_draws=SIZE)
        found = pixel_entropy(head, _pictures(4), settings, [1, 2, 3, 4], CPU)
        away = np.log(_sigma(found.H)) - best
        away -= away.mean((1, 2), keepdims=True)  # the last scaling and s_f have separate noise
        return float(np.sqrt(np.square(away).mean()))

    few, many = error(4), error(64)
    assert many < 0.4 * few  # sixteen times the draws: a quarter of the error
    assert many < 0.05


def test_bound_beats_the_uniform_noise_of_the_same_mse_on_a_network() -> None:
    class Looking(nn.Module):
        """Weight the middle most."""

        def __init__(self) -> None:
            super().__init__()
            self.network = _network()
            along = torch.linspace(-1, 1, 20, dtype=torch.float64).square()
            self.register_buffer("window", torch.exp(-1.5 * (along[:, None] + along)))

        def forward(self, x: Tensor) -> Tensor:
            return self.network(x * self.window)

    settings = EntropySettings(grid=4, search="bound", steps=12, draws=64, max_batch=128)
    result = pixel_entropy(Looking().eval(), _pictures(2, 20), settings, [1, 2], CPU)
    # MSE is nearly quadratic here: uniform noise reaches 1.5 s_f at 0.01 sqrt(1.5)
    uniform = math.log(0.01 * math.sqrt(1.5)) + plain.HALF_LOG
    assert (result.mse <= 1.5 * result.s_f).all()
    assert (result.H.mean((1, 2)) > uniform + 0.1).all()
    assert (result.H[:, 1:3, 1:3].amax((1, 2)) < result.H[:, ::3, ::3].amin((1, 2))).all()


def test_paper_preset_holds_its_bound_and_beats_uniform_noise() -> None:
    settings = replace(preset("paper", "alexnet"), grid=10)
    head, images = _network(), _pictures(2, 20)
    result = pixel_entropy(head, images, settings, [1, 2], CPU)
    uniform = math.log(0.01 * math.sqrt(1.5)) + plain.HALF_LOG
    assert (result.mse <= 1.5 * result.s_f).all()
    np.testing.assert_allclose(result.mse, 1.5 * result.s_f, rtol=0.01)
    assert (result.H.mean((1, 2)) > uniform).all()
    # few draws give some costs below 0; their large sigma leaves nothing for other cells
    noisy = pixel_entropy(head, images, replace(settings, slope="noise", draws=4), [1, 2], CPU)
    assert (noisy.mse <= 1.5 * noisy.s_f).all()
    assert (noisy.H.mean((1, 2)) < uniform).all()


@pytest.mark.parametrize("search", ["path", "bound"])
def test_scale_of_the_weights_changes_nothing(search: str) -> None:
    settings = replace(EXACT, search=search, steps=20)
    first, _ = _linear()
    maps = [
        pixel_entropy(head, _pictures(1), settings, [1], CPU, _exact).H
        for head in (first, _linear(scale=37.0)[0])
    ]
    torch.testing.assert_close(maps[0], maps[1], rtol=1e-9, atol=0)
    other = first
    other[1].weight.data[:, :7] *= 37.0  # a part of w does change it
    assert not torch.allclose(
        pixel_entropy(other, _pictures(1), settings, [1], CPU, _exact).H, maps[0], atol=0.01
    )


@pytest.mark.parametrize("name", ["released", "fast", "paper"])
def test_results_do_not_depend_on_the_batch(name: str) -> None:
    images = _pictures(5, 20)
    ids = ["a", "b", "c", "d", "e"]
    settings = replace(preset(name, "vgg11"), grid=4, steps=6, draws=8, scale_draws=8, boost_step=4)
    head = _network()

    def search(rows: list[int], max_batch: int) -> Tensor:
        seeds = [image_seed(ids[row]) for row in rows]
        block = replace(settings, max_batch=max_batch)
        return pixel_entropy(head, images[rows], block, seeds, CPU).H

    together = search([0, 1, 2, 3, 4], 40)
    for max_batch in (3, 8, 17):  # 3: less than the draws of one image
        torch.testing.assert_close(search([0, 1, 2, 3, 4], max_batch), together)
    torch.testing.assert_close(search([3, 1], 40), together[[3, 1]])
    assert not torch.allclose(search([0], 40)[0], together[1])


def test_noise_comes_from_the_seed_and_leaves_the_global_generator() -> None:
    images, head = _pictures(1, 20), _network()
    settings = EntropySettings(grid=4, steps=4, draws=8, scale_draws=8)
    state = torch.random.get_rng_state()
    first = pixel_entropy(head, images, settings, [1], CPU).H
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(pixel_entropy(head, images, settings, [1], CPU).H, first)
    assert not torch.equal(pixel_entropy(head, images, settings, [2], CPU).H, first)
    assert image_seed("a") != image_seed("b")
    assert image_seed("a") != image_seed("a", 1)


def test_noise_is_independent_by_pixel_and_colour_and_fresh_by_step() -> None:
    draw = gaussian((3, 6, 6), CPU, torch.float64)
    eps = draw(1, 0, 4000).flatten(1)
    covariance = eps.T @ eps / 4000
    assert (covariance - torch.eye(108)).abs().max() < 0.12
    assert not torch.equal(draw(1, 0, 2), draw(1, 1, 2))


def test_images_of_a_constant_layer_are_skipped() -> None:
    class Dead(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            alive = (x.mean((1, 2, 3)) > 0)[:, None]
            return torch.where(alive, x.flatten(1), torch.zeros_like(x.flatten(1)) - 1)

    images = _pictures(3).abs()
    images[1] *= -1
    settings = EntropySettings(grid=GRID, steps=3, draws=8, scale_draws=8)
    result = pixel_entropy(Dead().eval(), images, settings, [1, 2, 3], CPU)
    assert result.skipped.tolist() == [False, True, False]
    assert int(result.skipped.sum()) == 1
    assert result.s_f[1] == 0
    assert result.H[1].isnan().all()
    assert result.H[[0, 2]].isfinite().all()
    assert result.steps.tolist() == [3, 0, 3]
    everything = pixel_entropy(Dead().eval(), -images[[0]], settings, [1], CPU)
    assert everything.skipped.all()


def test_a_relu_hides_features_that_stay_negative() -> None:
    head = nn.Sequential(nn.Flatten(), nn.Linear(SIZE, 2)).double().eval()
    head[1].bias.data = torch.tensor([-1e3, 1e3], dtype=torch.float64)
    head[1].weight.data[1, 24:] = 0
    settings = EntropySettings(grid=GRID, steps=30, draws=32, scale_draws=32)
    seen = pixel_entropy(head, _pictures(1), settings, [1], CPU).H[0]
    bare = pixel_entropy(head, _pictures(1), replace(settings, relu=False), [1], CPU).H[0]
    head[1].weight.data[0] = 0
    without = pixel_entropy(head, _pictures(1), settings, [1], CPU).H[0]
    torch.testing.assert_close(seen, without)
    assert not torch.allclose(bare, without, atol=0.01)


def test_feature_that_is_not_finite_is_refused() -> None:
    head = nn.Sequential(nn.Flatten(), nn.Linear(SIZE, 2)).double().eval()
    head[1].weight.data[:] = torch.nan
    with pytest.raises(FeatureError, match="2 of 2 images is not finite"):
        pixel_entropy(head, _pictures(2), EntropySettings(grid=GRID), [1, 2], CPU)


@pytest.mark.parametrize("side", [16, 64, 224, 227, 40])
def test_grid_is_nearest_also_where_it_does_not_divide(side: int) -> None:
    cells = torch.rand(2, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    large = enlarge(cells, side, side)
    assert torch.equal(large, F.interpolate(cells[:, None], size=(side, side))[:, 0])
    # the adjoint: <enlarge a, b> = <a, shrink b>
    other = torch.rand(2, side, side, generator=torch.Generator().manual_seed(1)).double()
    assert (large * other).sum() == pytest.approx(float((cells * shrink(other, 16)).sum()))


@pytest.mark.parametrize("slope", ["noise", "projection", "pairs"])
@pytest.mark.parametrize("spread", [0.5, 1.5])
def test_crossing_stops_at_the_target_between_two_steps(spread: float, slope: str) -> None:
    head, cost = _linear(spread)
    # the flow of 256 cells: with 16 each cell's alpha and lambda / G are 16 times as large
    slow = 1e-4 * GRID**2 / 256
    settings = replace(preset("fast", "alexnet"), grid=GRID, learning_rate=4 * slow, slope=slope)
    draws = SIZE if slope == "noise" else 4000
    settings = replace(settings, draws=draws, scale_draws=draws, relu=False)
    noise = _exact if slope == "noise" else None
    result = pixel_entropy(head, _pictures(1), settings, [1], CPU, noise)
    assert result.H.mean() == pytest.approx(-2.8, abs=1e-9)
    assert result.steps.item() < 20
    seen, _, nearest = plain.released_path(cost / cost.sum(), 7.0, rate=slow)
    # the same path as the released one, four times as fast
    rough = 0.02 if slope == "noise" else 0.04
    np.testing.assert_allclose(_sigma(result.H[0]), seen[nearest], rtol=rough)
    optimum = plain.released_optimum(cost / cost.sum(), 7.0)
    assert np.abs(np.log(optimum / seen[nearest])).max() > 0.2  # and far from the optimum


@pytest.mark.long
def test_fast_follows_released_on_a_network_as_closely_as_other_noise_does() -> None:
    class Window(nn.Module):
        """Weight the middle most, so that maps have a shape."""

        def __init__(self) -> None:
            super().__init__()
            self.network = _network()

        def forward(self, x: Tensor) -> Tensor:
            along = torch.linspace(-1, 1, 20, dtype=x.dtype).square()
            return self.network(x * torch.exp(-1.5 * (along[:, None] + along)))

    head, images = Window().eval(), _pictures(2, 20)
    # the flow of 256 cells on a grid of 4 x 4
    scaled = {"grid": 4, "learning_rate": 1e-4 / 16}

    def search(settings: EntropySettings, seed: int) -> Tensor:
        return pixel_entropy(head, images, settings, [seed, seed + 1], CPU).H

    released = replace(preset("released", "alexnet"), **scaled)
    fast = replace(preset("fast", "alexnet"), **scaled | {"learning_rate": 4e-4 / 16})
    first, second, quick = search(released, 1), search(released, 3), search(fast, 5)

    def apart(one: Tensor, other: Tensor) -> float:
        return float((one - other).square().mean().sqrt() / one.std())

    assert apart(first, quick) < 0.2
    # twelve times the draws reduce the difference, so it is no bias
    more = replace(fast, draws=144, scale_draws=576)
    assert apart((first + second) / 2, search(more, 5)) < apart(first, quick)


def test_presets_differ_in_lambda_by_family() -> None:
    assert preset("released", "vgg16").entropy_weight == 7
    assert preset("released", "resnet50", max_batch=12).entropy_weight == 6
    assert preset("released", "resnet50", max_batch=12).max_batch == 12
    assert preset("paper", "alexnet").search == "bound"
    with pytest.raises(SettingsError, match=r"entropy.preset: expected one of released, paper"):
        preset("quick", "alexnet")


def test_invalid_search_settings_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"entropy.draws: expected at least 1, got 0"):
        EntropySettings(draws=0)
    with pytest.raises(SettingsError, match="'pairs' needs an even number, got 9"):
        EntropySettings(draws=9, slope="pairs")
