"""The rule that decides when a fit is finished."""

from copy import deepcopy

import numpy as np
import pytest
import torch

from kc.consistency import fit
from kc.consistency.finish import at_rest, settled
from kc.consistency.resume import Resume
from kc.settings.reconstruction import Optimiser

FALLING = [0.5, 0.4, 0.35, 0.33]


@pytest.mark.parametrize(
    ("losses", "verdict"),
    [
        (FALLING, "no"),  # too few rounds
        ([*FALLING, 0.32], "no"),  # 3 % better
        ([*FALLING, 0.3284], "plateau"),  # 0.48 % better
        ([*FALLING, 0.3283], "no"),  # 0.52 % better
        ([*FALLING, 0.332], "plateau"),  # 0.6 % worse
        ([*FALLING, 0.34], "no"),  # one round may be chance
        ([*FALLING, 0.34, 0.36], "validation"),
        ([*FALLING, 0.34, 0.331], "plateau"),
        ([*FALLING, 0.34, 0.32], "no"),
        ([1e-5, 4e-6, 3e-6, 2e-6, 1e-6], "plateau"),  # rounding, whatever the share
    ],
)
def test_settled_follows_the_validation_errors(losses, verdict):
    assert settled(losses, 0.005) == verdict


@pytest.mark.parametrize(
    ("losses", "verdict"),
    [
        ([0.1, 0.2, 0.3, 0.3], "no"),  # too few rounds
        ([0.1, 0.2, 0.3, 0.34, 0.3414], "plateau"),  # 0.4 % worse, far above the start
        ([0.1, 0.2, 0.3, 0.34, 0.342], "no"),  # 0.6 % worse
        ([0.5, 0.4, 0.3, 0.25, 0.248], "no"),
        ([0.5, 0.4, 0.3, 0.25, 0.2489], "plateau"),
    ],
)
def test_a_step_along_a_path_ends_when_the_error_is_constant(losses, verdict):
    assert at_rest(losses, 0.005) == verdict


def pair(count=400):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(count, 12, generator=generator)
    hidden = torch.relu(x @ torch.randn(12, 12, generator=generator))
    noise = torch.randn(count, 6, generator=generator)
    return x, hidden @ torch.randn(12, 6, generator=generator) + 2 * noise


@pytest.fixture(scope="module")
def whole():
    return fit(*pair(), order=1)


def test_a_complete_fit_is_finished_and_a_shortened_one_is_not(whole):
    x, y = pair()
    assert whole.settled in ("plateau", "validation")
    assert whole.history["epoch"].max() < 2000
    short = fit(x, y, order=1, epochs=10)
    assert short.settled == "no"
    assert short.history["epoch"].max() == 10
    assert fit(x, y, order=1, preset="released", epochs=10).settled == "no"


def test_a_restart_does_not_improve_a_plateau(whole):
    x, y = pair()
    again = fit(x, y, order=1, initial=deepcopy(whole.net), epochs=int(whole.chosen.epoch))
    assert again.chosen.validation_mse > 0.99 * whole.chosen.validation_mse


def test_rounds_grow_by_half_of_all_before():
    x, y = pair()
    epochs = fit(x, y, order=1, optimiser=Optimiser(improvement=1e-9), epochs=90).history["epoch"]
    # 360 images fitted on, 6 steps an epoch, 60 steps a round at least
    assert list(epochs[:6]) == [0, 10, 20, 30, 45, 68]


def test_the_weights_kept_validate_best(whole):
    assert whole.chosen.validation_mse == whole.history["validation_mse"].min()
    assert np.isfinite(whole.history[["train_mse", "validation_mse"]].to_numpy()).all()


def test_a_finished_fit_that_is_resumed_stays_finished(whole, tmp_path, monkeypatch):
    monkeypatch.setattr("kc.consistency.resume.EVERY", 0.0)
    x, y = pair()
    fit(x, y, order=1, resume=Resume(tmp_path / "state"))
    again = fit(x, y, order=1, resume=Resume(tmp_path / "state"))
    assert (again.settled, again.chosen) == (whole.settled, whole.chosen)
    assert again.history.equals(whole.history)
