"""g compared with the slow plain version, its identities, and what it refuses."""

import pytest
import torch
from torch import nn

from kc.consistency import ConsistencyNet
from kc.errors import FeatureError
from tests.reference import plain_g

SHAPES = [((5, 4, 3), (4, 4, 3)), ((6,), (3,)), ((4, 5), (4, 7))]


def ready(source, target, order, sigma="dataset", dtype=torch.float64, **more):
    net = ConsistencyNet(source, target, order, sigma=sigma, seed=1, **more).to(dtype)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        net.logits.copy_(torch.randn(order, generator=generator))
        net.variance.copy_(0.3 + torch.rand(net.variance.shape, generator=generator))
    return net.eval()


def draw(n, shape, dtype=torch.float64, seed=3):
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("sigma", ["dataset", "image"])
@pytest.mark.parametrize("order", [0, 1, 2, 3])
@pytest.mark.parametrize(("source", "target"), SHAPES)
def test_output_and_each_component_equal_the_plain_version(source, target, order, sigma):
    net, x = ready(source, target, order, sigma), 0.5 + draw(6, source)
    with torch.no_grad():
        whole, parts = plain_g.components(
            x, list(net.weights), net.gains, net.variance if sigma == "dataset" else None
        )
        torch.testing.assert_close(net(x), whole, rtol=0, atol=1e-9)
        torch.testing.assert_close(net.components(x), torch.stack(parts), rtol=0, atol=1e-9)
    assert whole.std() > 0.05


def test_single_position_maps_have_no_image_scale():
    net, x = ready((5, 1, 1), (3, 1, 1), 2, "image"), draw(4, (5, 1, 1))
    with torch.no_grad():
        whole, _ = plain_g.components(x, list(net.weights), net.gains, None)
        torch.testing.assert_close(net(x), whole, rtol=0, atol=1e-9)


@pytest.mark.parametrize("order", [0, 1, 2, 3])
@pytest.mark.parametrize("sigma", ["dataset", "image"])
def test_components_sum_to_the_forward_pass_in_float32(order, sigma):
    net = ready((16, 6, 7), (12, 6, 7), order, sigma, torch.float32)
    x = draw(8, (16, 6, 7), torch.float32)
    with torch.no_grad():
        whole, parts = net(x), net.components(x)
    assert parts.shape == (order + 1, 8, 12, 6, 7)
    assert (parts.sum(0) - whole).abs().max() <= 1e-5 * whole.abs().max()


def test_components_need_one_convolution_per_branch(monkeypatch):
    net, x = ready((4, 3, 3), (4, 3, 3), 3), draw(2, (4, 3, 3))
    images = []
    operate = ConsistencyNet.operate
    monkeypatch.setattr(
        ConsistencyNet, "operate", lambda s, k, u: images.append(len(u) // 2) or operate(s, k, u)
    )
    net.components(x)
    assert images == [1, 2, 3, 4]


def test_training_mode_divides_by_the_batch_and_evaluation_by_the_buffer():
    net, x = ready((4, 3, 3), (4, 3, 3), 1), draw(9, (4, 3, 3))
    h = plain_g.conv(x, net.weights[1].detach())
    batch = h.transpose(0, 1).flatten(1).var(1, correction=0)
    net.train()
    whole, _ = plain_g.components(x, list(net.weights), net.gains, batch[None])
    torch.testing.assert_close(net(x), whole, rtol=0, atol=1e-9)
    net.eval()
    assert not torch.allclose(net(x), whole)


def test_no_gradient_flows_through_sigma():
    net, x = ready((4,), (4,), 1).train(), draw(9, (4,))
    net(x).square().sum().backward()
    got = net.weights[1].grad.clone()
    frozen = ready((4,), (4,), 1)
    with torch.no_grad():
        frozen.variance[0] = (x @ net.weights[1].T).var(0, correction=0)
    frozen(x).square().sum().backward()
    torch.testing.assert_close(got, frozen.weights[1].grad)


def test_maps_are_resized_to_the_target_before_anything_else():
    net, x = ready((4, 5, 6), (3, 3, 3), 2, "image"), draw(5, (4, 5, 6))
    small = nn.functional.interpolate(x, size=(3, 3), mode="bilinear", align_corners=False)
    same = ready((4, 3, 3), (3, 3, 3), 2, "image")
    torch.testing.assert_close(net(x), same(small))
    assert net(x).shape == (5, 3, 3, 3)


def test_initial_weights_follow_pytorch_and_the_seed():
    with torch.random.fork_rng():
        torch.manual_seed(5)
        before = torch.get_rng_state()
        net = ConsistencyNet((4, 3, 3), (6, 3, 3), 1, seed=5)
        assert torch.equal(torch.get_rng_state(), before)
        reference = nn.Conv2d(4, 6, 3, bias=False)
    assert torch.equal(net.weights[0], reference.weight)
    assert net.weights[1].shape == (4, 4, 3, 3)
    assert torch.equal(net.gains, torch.tensor([0.5]))
    assert torch.equal(net.variance, torch.ones(1, 4))
    other = ConsistencyNet((4, 3, 3), (6, 3, 3), 1, seed=6)
    assert not torch.equal(net.weights[0], other.weights[0])


@pytest.mark.parametrize(
    ("source", "target", "text"),
    [
        ((4, 3, 3), (4,), r"source \(4, 3, 3\) and target \(4,\)"),
        ((2, 4, 3, 3), (2, 4, 3, 3), "of the same kind"),
        ((4, 8), (5, 8), "tokens cannot be resized"),
    ],
)
def test_shapes_g_is_not_defined_for_are_refused(source, target, text):
    with pytest.raises(FeatureError, match=text):
        ConsistencyNet(source, target)
