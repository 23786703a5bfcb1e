"""The training loop: batches, steps, means and random generators."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from kc.networks.epoch import Outcome, Steering, run_epoch, set_rate, shuffled_batches

CPU = torch.device("cpu")


def test_batches_hold_every_row_once_except_a_last_single_one():
    for count, sizes in ((9, [4, 4]), (10, [4, 4, 2]), (4, [4])):
        batches = shuffled_batches(count, 4, torch.Generator().manual_seed(0))
        assert [len(batch) for batch in batches] == sizes
        order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
        assert torch.equal(torch.cat(batches), order[: sum(sizes)])


def test_an_epoch_is_plain_sgd_and_its_means_are_over_images():
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    optimiser = torch.optim.SGD(model.parameters(), lr=9.0)
    told = []

    def look(batch):
        told.append(float(model.weight.detach()))
        return Outcome(model.weight.square().sum(), right=1)

    steering = Steering(lambda step: set_rate(optimiser, 0.1 * (step + 1)), lambda: told.append(""))
    found = run_epoch([range(3), range(2)], look, optimiser, steering, 0, CPU)
    # w -> w - 2 rate w: 1, 0.8, 0.48
    assert told == [1.0, "", pytest.approx(0.8), ""]
    assert float(model.weight.detach()) == pytest.approx(0.48)
    assert found.loss == pytest.approx((3 * 1 + 2 * 0.64) / 5)
    assert found.train_accuracy == pytest.approx(40)
    assert found.learning_rate == pytest.approx(0.2)


def test_random_numbers_come_from_the_seed_and_no_generator_changes():
    weight = nn.Parameter(torch.ones(64))
    optimiser = torch.optim.SGD([weight], lr=0.0)

    def run(seed):
        look = lambda _: Outcome(F.dropout(weight).sum())  # noqa: E731
        return run_epoch([range(1)] * 3, look, optimiser, Steering(lambda _: 0.0), seed, CPU).loss

    before = torch.get_rng_state()
    assert run(1) == run(1) != run(2)
    assert torch.equal(torch.get_rng_state(), before)
