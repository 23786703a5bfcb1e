import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from kc.networks.distil import born_again_loss
from tests.reference import plain_distillation

LABELS = torch.tensor([0, 3, 3, 1, 2])


def logits(seed, scale=2.0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(5, 4, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize(("weight", "tau"), [(0.5, 1.0), (0.5, 4.0), (2.0, 0.5)])
def test_the_loss_equals_the_plain_version(weight, tau):
    student, teacher = logits(0), logits(1)
    found = born_again_loss(student, teacher, LABELS, weight, tau).item()
    plain = plain_distillation.born_again_loss(student, teacher, LABELS, weight, tau)
    assert found == pytest.approx(plain, rel=1e-12)
    swapped = plain_distillation.born_again_loss(teacher, student, LABELS, weight, tau)
    assert abs(found - swapped) > 0.01


def test_the_defaults_are_half_the_distillation_at_temperature_one():
    student, teacher = logits(0), logits(1)
    plain = plain_distillation.born_again_loss(student, teacher, LABELS, 0.5, 1.0)
    assert born_again_loss(student, teacher, LABELS).item() == pytest.approx(plain, rel=1e-12)


def test_without_weight_the_teacher_does_not_matter():
    found = born_again_loss(logits(0), logits(1), LABELS, weight=0.0)
    assert torch.equal(found, F.cross_entropy(logits(0), LABELS))


@pytest.mark.parametrize("tau", [1.0, 3.0])
def test_uniform_teacher_and_student_have_the_loss_log_of_the_classes(tau):
    nothing = torch.zeros(5, 4, dtype=torch.float64)
    found = born_again_loss(nothing, nothing, LABELS, 0.5, tau).item()
    assert found == pytest.approx((1 + 0.5 * tau**2) * math.log(4), rel=1e-12)


def test_the_gradient_reaches_the_student_only_and_pulls_it_to_the_teacher():
    student, teacher = logits(0).requires_grad_(), logits(1).requires_grad_()
    whole = born_again_loss(student, teacher, LABELS, 0.5, 2.0)
    (whole - F.cross_entropy(student, LABELS)).backward()
    assert teacher.grad is None
    # d/ds of tau^2 CE(softmax(t/tau), softmax(s/tau)) = tau (softmax(s/tau) - softmax(t/tau))
    pull = 0.5 * 2 * (F.softmax(student / 2, 1) - F.softmax(teacher / 2, 1)) / 5
    np.testing.assert_allclose(student.grad, pull.detach(), atol=1e-12)
    assert pull.abs().max() > 0.01


def test_far_apart_logits_stay_finite():
    found = born_again_loss(logits(0, 1e4).float(), logits(1, 1e4).float(), LABELS)
    assert found.isfinite()
