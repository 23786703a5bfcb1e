"""Wide layers: ridge in the dual, leading channels, and a g whose W are factorised."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional as F

from kc.consistency import ConsistencyNet, fit, linear, start
from kc.consistency.basis import traces
from kc.consistency.data import pair_up
from kc.consistency.decompose import Normalisation
from kc.consistency.dual import Examples, dual_ridge, patch_products
from kc.consistency.equations import STRENGTHS, equations_of, normal_equations, ridge
from kc.consistency.linear import best_linear
from kc.consistency.order import cut
from kc.consistency.rank import common_rank, with_rank
from kc.consistency.result import linear_shares
from kc.consistency.resume import Resume
from kc.consistency.saved import load_fit, save_fit
from kc.consistency.start import solve, solve_first
from kc.consistency.task import FitTask
from kc.consistency.traces import traces_of
from kc.errors import SettingsError
from kc.settings.reconstruction import Consistency, Optimiser
from kc.store.product import Product
from tests.reference import plain_g

CPU = torch.device("cpu")
SHAPES = [((20, 3, 4), (5, 3, 4), 3), ((9, 2, 2), (4, 2, 2), 5), ((90,), (6,), 3)]


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def pair_of(source, target, images=12, noise=0.5):
    """Return features whose target is a convolution of the source plus noise."""
    x = draw(images, *source)
    if len(source) == 3:
        y = F.conv2d(x, draw(target[0], source[0], 3, 3, seed=1) / 9, padding=1)
    else:
        y = x @ draw(source[0], target[0], seed=1) / 9
    return x, y + noise * draw(*y.shape, seed=2)


def task_of(x, y, settings=None):
    rows = np.arange(len(x))
    fitted, held = cut(rows, 0)
    pair = pair_up(x, y, CPU)
    return FitTask(pair, Normalisation(), fitted, held, settings or Consistency(), 0)


def plain_ridge(equations, strength):
    values = torch.linalg.eigvalsh(equations.patches)
    damping = strength * values.mean() + 1e-10 * values[-1]
    damped = equations.patches + damping * torch.eye(len(values))
    return torch.linalg.solve(damped, equations.cross)


@pytest.mark.parametrize(("source", "target", "side"), SHAPES)
def test_both_ridges_take_the_strength_that_validates_best(source, target, side):
    x, y = pair_of(source, target)
    net = ConsistencyNet(source, target, 0, side, seed=0)
    positions = y[:9].numel() // target[0]
    fitted, held = (
        normal_equations(net, [part], positions, 0) for part in ((x[:9], y[:9]), (x[9:], y[9:]))
    )
    assert positions < len(fitted.patches)
    solutions = [plain_ridge(fitted, strength) for strength in STRENGTHS]
    errors = [float((w * (held.patches @ w - 2 * held.cross)).sum()) for w in solutions]
    best = errors.index(min(errors))
    assert 0 < best < len(STRENGTHS) - 1
    torch.testing.assert_close(ridge(fitted, held), solutions[best], rtol=1e-6, atol=1e-9)
    found = dual_ridge(Examples(x[:9], y[:9]), Examples(x[9:], y[9:]), side)
    expected = solutions[best].T.reshape(net.weights[0].shape).float()
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()


def test_inner_products_of_patches_are_those_of_patches_written_out():
    left, right = draw(3, 4, 3, 5), draw(2, 4, 3, 5, seed=1)
    for side in (1, 3, 5):
        u, v = (
            F.unfold(part.double(), side, padding=side // 2).transpose(1, 2).flatten(0, 1)
            for part in (left, right)
        )
        found = patch_products(left, right, side)
        torch.testing.assert_close(found, u @ v.T, rtol=1e-12, atol=1e-12)
    wrong = patch_products(left, right.flip(-1), 3)
    assert not torch.allclose(wrong, patch_products(left, right, 3))


@pytest.mark.parametrize(("source", "target", "side"), SHAPES)
def test_traces_are_those_of_the_moments_of_patches(source, target, side):
    x, y = pair_of(source, target)
    net = ConsistencyNet(source, target, 0, side, seed=0)
    moments = normal_equations(net, [(x, y)], 1, 0).patches
    wanted = traces(moments, source[0])
    found = traces_of(x.split(5), side if len(source) == 3 else 1)
    for have, want in zip(found, wanted, strict=True):
        torch.testing.assert_close(have, want, rtol=1e-4, atol=1e-4)


def test_few_positions_never_make_a_matrix_of_patches(monkeypatch):
    x, y = pair_of((20, 3, 4), (5, 3, 4))
    net, task = ConsistencyNet((20, 3, 4), (5, 3, 4), 0, seed=0), task_of(x, y)
    wanted = ridge(*(equations_of(net, task, rows) for rows in (task.fitted, task.held)))

    def never(*_):
        raise AssertionError

    monkeypatch.setattr(linear, "equations_of", never)
    solve(net, task)
    found = net.weights[0].detach().flatten(1).T.double()
    assert (found - wanted).abs().max() < 1e-4 * wanted.abs().max()


def test_leading_channels_are_used_if_units_and_positions_are_many(monkeypatch):
    """All channels give the exact answer, as many as the source's rank too; fewer do not."""
    few = draw(80, 5, 3, 3)
    x = torch.einsum("cf,nfyx->ncyx", draw(12, 5, seed=1), few)
    y = F.conv2d(x, draw(4, 12, 3, 3, seed=2) / 9, padding=1) + 0.3 * draw(80, 4, 3, 3, seed=3)
    net, task = ConsistencyNet((12, 3, 3), (4, 3, 3), 0, seed=0), task_of(x, y)
    exact = best_linear(net, task).best.apply(x)
    monkeypatch.setattr(linear, "MANY", 10)
    # strengths are in units of the mean eigenvalue, so they depend on the number of channels
    for channels in (12, 5):
        monkeypatch.setattr(linear, "LEADING", 9 * channels)
        found = best_linear(net, task).best
        assert found.leading.shape[0] == channels
        assert (found.apply(x) - exact).std() < 0.03 * exact.std()
        torch.testing.assert_close(
            F.conv2d(x, found.dense(), padding=1), found.apply(x), rtol=1e-3, atol=1e-4
        )
    monkeypatch.setattr(linear, "LEADING", 9 * 2)
    assert (best_linear(net, task).best.apply(x) - exact).std() > 0.1 * exact.std()


def dense(net, k):
    first, *between, last = (weight.detach().double() for weight in net.factors(k))
    if not between:
        return last @ first
    return torch.einsum("dr,rsyx,sc->dcyx", last[..., 0, 0], between[0], first[..., 0, 0])


@pytest.mark.parametrize(("source", "target"), [((5, 4, 3), (4, 4, 3)), ((6,), (3,))])
def test_a_factorised_g_is_the_g_of_the_products_and_its_parts_sum(source, target):
    net = ConsistencyNet(source, target, 2, seed=1, rank=2).double().eval()
    x = draw(6, *source).double()
    with torch.no_grad():
        net.variance.copy_(0.3 + draw(*net.variance.shape).abs())
        weights = [dense(net, k) for k in range(3)]
        whole, parts = plain_g.components(x, weights, net.gains, net.variance)
        torch.testing.assert_close(net(x), whole, rtol=0, atol=1e-9)
        torch.testing.assert_close(net.components(x), torch.stack(parts), rtol=0, atol=1e-9)
        torch.testing.assert_close(net.components(x).sum(0), net(x))
    assert whole.std() > 1e-3
    assert torch.linalg.matrix_rank(weights[1].flatten(1)) == 2


def test_a_linear_target_of_that_rank_is_found_and_of_more_is_not():
    """y = B (3x3 among 3 channels) A x: r = 3 gives it in closed form, r = 2 misses some."""
    x = draw(100, 10, 4, 4)
    inner = F.conv2d(x, draw(3, 10, 1, 1, seed=1))
    y = F.conv2d(F.conv2d(inner, draw(3, 3, 3, 3, seed=2), padding=1), draw(6, 3, 1, 1, seed=3))
    y = y / y.std()
    for rank, low, high in ((3, 0, 1e-3), (2, 0.02, 1), (12, 0, 1e-3)):
        net, task = ConsistencyNet((10, 4, 4), (6, 4, 4), 0, seed=0, rank=rank), task_of(x, y)
        solve_first(net, task)
        solve(net, task)
        with torch.no_grad():
            assert low <= float((net(x) - y).square().mean()) <= high


def test_a_factorised_fit_gains_over_its_start_and_is_read_back(tmp_path):
    x = torch.relu(draw(60, 16, 4, 4))
    y = torch.relu(F.conv2d(x, draw(12, 16, 3, 3, seed=1) / 9, padding=1))
    found = fit(x, y, rank=8, epochs=24)
    first, *_, last = found.history["validation_mse"]
    assert last < first
    assert found.net.rank == 8
    linear_share = linear_shares(found, found.linear, pair_up(x, y, CPU), {"all": found.train})
    assert 0 < linear_share["all"] < 1
    with Product(tmp_path, "key", ["g.safetensors"]) as product:
        product.start()
        product.finish({}, save_fit(found, tmp_path))
    assert torch.equal(load_fit(tmp_path).net(x), found.net(x))
    assert load_fit(tmp_path).net.rank == 8


def test_an_interrupted_factorised_fit_resumes(tmp_path, monkeypatch):
    monkeypatch.setattr("kc.consistency.resume.EVERY", 0)
    x, y = pair_of((16, 3, 3), (6, 3, 3), 40)
    file = tmp_path / "state.safetensors"
    settings = {"rank": 4, "optimiser": Optimiser(epochs=12)}
    whole = fit(x, y, **settings)
    fit(x, y, rank=4, optimiser=Optimiser(epochs=5), resume=Resume(file))
    begun, epochs = Resume.load, []

    def load(*given):
        progress = begun(*given)
        epochs.append(progress.epoch)
        return progress

    monkeypatch.setattr(Resume, "load", load)
    again = fit(x, y, **settings, resume=Resume(file))
    assert epochs == [5]
    assert again.linear is None
    assert whole.linear is not None
    assert len(again.net.weights) == 9


@pytest.mark.parametrize(
    ("source", "target", "images", "wanted"),
    [
        ((512, 7, 7), (512, 7, 7), 1000, None),
        ((2048, 7, 7), (64, 7, 7), 60, 128),
        ((64, 4, 4), (513, 4, 4), 60, 64),
        ((2048, 7, 7), (2048, 7, 7), 10_000, 128),
        ((4096,), (4096,), 100, None),
    ],
)
def test_the_rank_follows_the_number_of_positions(source, target, images, wanted):
    auto = Consistency(rank="auto")
    rank = common_rank([(source, target)], images, auto)
    assert rank == wanted
    assert with_rank(auto, source, target, rank).rank == (wanted or "full")


def test_a_rank_above_all_channels_is_refused():
    pairs = [((4, 2, 2), (6, 2, 2)), ((3,), (9,))]
    assert common_rank(pairs, 100, Consistency(rank=9)) == 9
    with pytest.raises(SettingsError, match=r"rank 10: the widest feature has 9 channels"):
        common_rank(pairs, 100, Consistency(rank=10))


def test_all_wide_pairs_of_a_table_have_one_rank_and_narrow_ones_none():
    wide, fewer, narrow = ((2048, 7, 7),) * 2, ((1024, 4, 4),) * 2, ((64, 8, 8),) * 2
    auto = Consistency(rank="auto")
    rank = common_rank([wide, fewer, narrow], 100, auto)
    assert rank == 64
    assert [with_rank(auto, *one, rank).rank for one in (wide, fewer, narrow)] == [64, 64, "full"]
    assert common_rank([wide], 100, Consistency(rank="full")) is None
    assert with_rank(Consistency(rank="full"), *wide, 64).rank == "full"
    assert common_rank([narrow], 100, Consistency(rank="32")) == 32


def test_the_released_preset_has_no_rank():
    with pytest.raises(ValidationError, match="rank 64 is for preset 'paper'"):
        Consistency(preset="released", rank=64)


def test_outputs_beyond_the_rank_of_a_solution_are_zero():
    found = start._leading_outputs(
        torch.eye(4).double(), draw(4, 1).double() @ draw(1, 5).double(), 3
    )
    assert found.shape == (5, 3)
    assert (found.norm(dim=0) > 0).tolist() == [True, False, False]
