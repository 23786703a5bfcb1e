"""The faster gradient of a first convolution against autograd's."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kc.concepts.gradient import QuickGradient, pull_back


def _random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape))).double()


@pytest.mark.parametrize("size", [(64, 64), (35, 41), (20, 15)])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [
        ((11, 11), (4, 4), (2, 2)),
        ((11, 11), (2, 2), (2, 2)),
        ((7, 7), (2, 2), (3, 3)),
        ((3, 5), (2, 3), (0, 4)),
        ((2, 2), (3, 3), (0, 0)),  # pixels between the windows have no influence
        ((3, 3), (1, 1), (1, 1)),
        ((5, 4), (1, 4), (4, 1)),
    ],
)
def test_pull_back_is_the_gradient(
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
) -> None:
    image, weight = _random(2, 3, *size).requires_grad_(), _random(5, 3, *kernel)
    out = F.conv2d(image, weight, stride=stride, padding=padding)
    slope = _random(*out.shape)
    (expected,) = torch.autograd.grad(out, image, slope)
    torch.testing.assert_close(pull_back(slope, weight, stride, padding, size), expected)


class _Calls:
    """Count the calls of the faster gradient."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        quick = pull_back

        def counted(*args: object) -> Tensor:
            self.count += 1
            return quick(*args)

        monkeypatch.setattr("kc.concepts.gradient.pull_back", counted)


@pytest.mark.parametrize(
    ("layer", "quick"),
    [
        (nn.Conv2d(3, 4, 7, stride=2, padding=3), True),
        (nn.Conv2d(3, 4, 5, stride=3, bias=False), True),
        (nn.Conv2d(3, 4, 3), False),
        (nn.Conv2d(3, 4, 3, stride=2, dilation=2), False),
        (nn.Conv2d(3, 3, 3, stride=2, groups=3), False),
        (nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 4, 3, stride=2)), False),
        (nn.Conv2d(3, 4, 3, stride=2, padding=1, padding_mode="reflect"), True),
        (nn.Conv2d(3, 4, 3, padding="same"), False),
    ],
)
def test_the_mode_keeps_gradients_and_only_replaces_known_calls(
    layer: nn.Module, quick: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = _Calls(monkeypatch)
    layer = layer.double()
    image = _random(2, 3, 19, 22).requires_grad_()
    plain = layer(image)
    with QuickGradient():
        out = layer(image)
    assert torch.equal(out, plain)
    slope = _random(*out.shape)
    gradients = [torch.autograd.grad(y, image, slope)[0] for y in (out, plain)]
    torch.testing.assert_close(*gradients)
    assert calls.count == int(quick)
    with QuickGradient(), torch.no_grad():
        assert torch.equal(layer(image), plain)
