"""Weight distance: constructed paths, the plain sum, resuming, and both versions."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from kc.concepts import WeightDistance, learning_speed
from kc.errors import NetworkError
from tests.reference import plain_concepts as plain


def _trained(steps: int, seed: int = 0) -> tuple[nn.Module, list[float], list[list[np.ndarray]]]:
    """Take steps of plain SGD; return the distances and all weights on the path."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 2))
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    distance = WeightDistance(model.parameters())
    seen, weights = [0.0], [[p.detach().numpy().copy() for p in model.parameters()]]
    for _ in range(steps):
        optimiser.zero_grad()
        model(torch.randn(8, 5, generator=generator)).square().mean().backward()
        optimiser.step()
        seen.append(distance.update())
        weights.append([p.detach().numpy().copy() for p in model.parameters()])
    return model, seen, weights


def test_distance_is_the_path_length_not_the_displacement() -> None:
    weight = torch.tensor([3.0, 4.0])
    distance = WeightDistance([weight])
    for to in ([3.0, 14.0], [3.0, 4.0], [3.0, 4.0]):  # there, back, and a pause
        weight.copy_(torch.tensor(to))
        distance.update()
    assert distance.total == pytest.approx(20 / 5)


def test_distance_equals_the_plain_sum_over_all_parameters() -> None:
    _, seen, weights = _trained(6)
    np.testing.assert_allclose(seen, plain.travelled(weights), rtol=1e-6)
    assert seen == sorted(seen)
    # the norm is that of all tensors as one vector, not the sum of each tensor's own
    apart = [plain.travelled([[w[k]] for w in weights])[-1] for k in range(4)]
    assert sum(apart) > 1.5 * seen[-1]


def test_readings_differ_one_layer_by_step_or_all_by_epoch() -> None:
    _, by_step, weights = _trained(8)
    by_epoch = plain.travelled(weights[::4])
    assert by_epoch[-1] < by_step[-1]  # finer steps give a longer path
    layer = torch.from_numpy(weights[0][2].copy())
    distance = WeightDistance([layer])
    for step in weights[1:]:
        layer.copy_(torch.from_numpy(step[2]))
        distance.update()
    assert distance.total == pytest.approx(plain.travelled([[w[2]] for w in weights])[-1], rel=1e-6)
    assert distance.total != pytest.approx(by_step[-1], rel=0.01)


def test_scale_of_the_weights_does_not_matter() -> None:
    _, seen, weights = _trained(3)
    scaled = [[1000 * w for w in step] for step in weights]
    np.testing.assert_allclose(plain.travelled(scaled), seen, rtol=1e-5)


def test_a_resumed_distance_continues() -> None:
    _, seen, weights = _trained(6)
    tensors = [torch.from_numpy(w.copy()) for w in weights[0]]
    distance = WeightDistance(tensors)
    for k, step in enumerate(weights[1:]):
        if k == 3:  # interrupted after three steps
            distance = WeightDistance(tensors, distance.state)
        for tensor, w in zip(tensors, step, strict=True):
            tensor.copy_(torch.from_numpy(w))
        distance.update()
    assert distance.total == pytest.approx(seen[-1], rel=1e-12)
    fresh = WeightDistance(tensors)  # without its state it starts at 0
    assert fresh.total == 0


@pytest.mark.parametrize("parameters", [[torch.zeros(3)], []])
def test_weights_of_norm_0_are_refused(parameters: list[torch.Tensor]) -> None:
    with pytest.raises(NetworkError, match=rf"initial weights \({len(parameters)} tensors\)"):
        WeightDistance(parameters)


def test_learning_speed_recovers_when_images_were_richest() -> None:
    distance = torch.tensor([0.0, 0.5, 1.5, 4.0], dtype=torch.float64)
    together = learning_speed(distance, torch.tensor([2, 2, 2, 2]))
    assert together.d_mean.value == 1.5
    assert together.d_std.value == 0
    in_turn = learning_speed(distance, torch.tensor([1, 2, 3, 2]))
    travelled = np.array([0.5, 1.5, 4.0, 1.5])
    assert in_turn.d_mean.value == pytest.approx(travelled.mean())
    assert in_turn.d_std.value == pytest.approx(np.square(travelled - travelled.mean()).mean())
    assert in_turn.d_std.value != pytest.approx(travelled.std())  # a variance, as printed
    assert in_turn.d_std.n_images == 4
    assert in_turn.d_mean.low < in_turn.d_mean.value < in_turn.d_mean.high


def test_longer_steps_change_the_distance_and_not_the_ratio() -> None:
    steps = torch.tensor([0.0, 0.5, 1.0, 2.5], dtype=torch.float64)
    richest = torch.tensor([1, 2, 3, 2])
    slow, fast = (learning_speed(by * steps.cumsum(0), richest) for by in (1.0, 8.0))
    assert fast.d_mean.value == pytest.approx(8 * slow.d_mean.value)
    assert fast.d_std.value == pytest.approx(64 * slow.d_std.value)
    assert fast.d_ratio == pytest.approx(slow.d_ratio)
    assert slow.d_ratio.value == pytest.approx(np.mean([0.5, 1.5, 4.0, 1.5]) / 4)
    still = learning_speed(torch.zeros(4), richest)
    assert still.d_mean.value == 0
    assert math.isnan(still.d_ratio.value)


def test_learning_speed_of_two_images_has_no_interval() -> None:
    speed = learning_speed(torch.tensor([0.0, 1.0]), torch.tensor([1, 1]))
    assert speed.d_mean.value == 1
    assert math.isnan(speed.d_std.low)
