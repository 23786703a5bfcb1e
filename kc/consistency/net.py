"""The reconstruction network g and its split into orders [L20, Eqs. (1), (3), (4)]."""

import math
from functools import reduce
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from kc.errors import FeatureError
from kc.names import Shape

EPSILON = 1e-5
"""Added to every standard deviation that divides, as in the released code."""

Sigma = Literal["dataset", "image"]
Gain = Literal["sigmoid", "free"]


class ConsistencyNet(nn.Module):
    r"""Reconstruct a target feature x* from a source feature x, order by order.

    .. math::
        h^{(K)} = W^{(K)} x, \qquad
        h^{(k)} = W^{(k)} \big[ x + p^{(k+1)} \mathrm{ReLU}(\Sigma_{(k+1)}^{-1/2} h^{(k+1)}) \big],
        \qquad g(x) = h^{(0)}

    No W has a bias. ``W(1..K)`` keep the source's channels (their output is added to x), only
    ``W(0)`` leads to the target's. p starts at 0.5. Sigma divides and never subtracts, and no
    gradient flows through it.

    Parameters
    ----------
    source_shape, target_shape
        Shape of one image's feature: ``(c, h, w)`` maps, ``(d,)`` vectors, ``(t, d)`` tokens.
        Maps of another size are resized bilinearly to the target's before anything else.
    order
        K, the number of non-linear layers.
    kernel_size
        Side of the convolutions on maps (odd); vectors and tokens take linear maps.
    sigma
        ``dataset``: one variance per channel, over images and positions; the batch's in training
        mode, the buffer ``variance`` (1 before any fit) in evaluation. ``image``: the released
        code's, one spatial standard deviation per image and channel; x is divided by its own.
    seed
        Of the initial weights (PyTorch's default law); None draws from the global generator.
    gain
        ``sigmoid``: p = sigmoid(q), in (0, 1), the released code's; ``free``: p = q, the paper's.
    rank
        None: each W(k) is one weight. r: it is factorised, C x r x C_out. On maps: a 1x1
        convolution to r channels, one of ``kernel_size`` between them and a 1x1 one from them:
        2 C r + 9 r^2 products per position, while 3x3 to r and 1x1 from r take 10 C r. Every unit
        keeps its ReLU and its Sigma.

    Raises
    ------
    FeatureError
        Shapes of different or unknown kind, or different numbers of tokens.
    """

    variance: Tensor

    def __init__(
        self,
        source_shape: Shape,
        target_shape: Shape,
        order: int = 2,
        kernel_size: int = 3,
        sigma: Sigma = "dataset",
        seed: int | None = None,
        gain: Gain = "sigmoid",
        rank: int | None = None,
    ) -> None:
        super().__init__()
        check_shapes(source_shape, target_shape)
        self.source_shape, self.target_shape = tuple(source_shape), tuple(target_shape)
        self.order, self.kernel_size, self.sigma, self.gain = order, kernel_size, sigma, gain
        self.rank = rank
        self.on_maps = len(target_shape) == 3
        self.channel_axis = 1 if self.on_maps else -1
        width, target_width = channels_of(source_shape), channels_of(target_shape)
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        self.weights = nn.ParameterList(
            _fresh(shape, generator)
            for k in range(order + 1)
            for shape in self._shapes(width, target_width if k == 0 else width)
        )
        self.logits = nn.Parameter(torch.full((order,), self.logit_of(0.5)))
        self.register_buffer("variance", torch.ones(order, width))
        self.batch_variances: dict[int, Tensor] = {}

    def _shapes(self, inputs: int, outputs: int) -> list[Shape]:
        """List the shapes of the factors of a W(k), in the order they are applied."""
        kernel = (self.kernel_size, self.kernel_size) if self.on_maps else ()
        if self.rank is None:
            return [(outputs, inputs, *kernel)]
        single = (1,) * len(kernel)
        middle = [(self.rank, self.rank, *kernel)] if self.on_maps else []
        return [(self.rank, inputs, *single), *middle, (outputs, self.rank, *single)]

    def factors(self, k: int) -> list[nn.Parameter]:
        """Return the factors of W(k), in the order they are applied."""
        each = len(self.weights) // (self.order + 1)
        return list(self.weights)[k * each : (k + 1) * each]

    @property
    def weights_per_channel(self) -> int:
        """Weights of W(0) per channel of the target, rounded up."""
        width = channels_of(self.target_shape)
        return -(-sum(weight.numel() for weight in self.factors(0)) // width)

    @property
    def gains(self) -> Float[Tensor, " order"]:
        """The scalars p(1)..p(K)."""
        return self.logits if self.gain == "free" else torch.sigmoid(self.logits)

    def logit_of(self, gain: float) -> float:
        """Return q for a p; under ``sigmoid`` a p of 0 becomes 2e-9."""
        return gain if self.gain == "free" else float(torch.logit(torch.tensor(gain), 2e-9))

    def forward(self, x: Float[Tensor, "n *source"]) -> Float[Tensor, "n *target"]:
        """Return g(x) [L20, Eq. (1)], in the units of the fit."""
        x = self.prepare(x)
        return self._composed(x, self.operate(self.order, x))

    def _composed(self, x: Tensor, h: Tensor, last: int = 0) -> Tensor:
        """Compute h of order ``last`` (0: g(x)) from the innermost operation's output."""
        for k in reversed(range(last, self.order)):
            higher = self.gains[k] * torch.relu(h / self._scale(k + 1, h))
            h = self.operate(k, x + higher)
        return h

    @torch.no_grad()
    def components(self, x: Float[Tensor, "n *source"]) -> Float[Tensor, "orders n *target"]:
        r"""Split g(x) into its orders [L20, Eq. (4)].

        .. math:: x^{(k)} = W^{(0)} \Big( \prod_{j=1}^{k} p^{(j)} A^{(j)} \Sigma_{(j)}^{-1/2}
            W^{(j)} \Big) x

        The gates A and Sigma are those of one forward pass, so the orders sum to ``self(x)`` up
        to rounding. ``W(j)`` is applied once, to all branches concatenated along the image axis.
        """
        x = self.prepare(x)
        return self._branched(x, self.operate(self.order, x))

    @torch.no_grad()
    def components_and_sum(
        self, x: Float[Tensor, "n *source"]
    ) -> tuple[Float[Tensor, "orders n *target"], Float[Tensor, "n *target"]]:
        """Return the orders, and ``self(x)`` computed independently, which they should sum to."""
        x = self.prepare(x)
        h = self.operate(self.order, x)
        return self._branched(x, h), self._composed(x, h)

    def _branched(self, x: Tensor, h: Tensor) -> Tensor:
        """Compute the orders from the innermost operation's output."""
        branches = h[None]
        for k in reversed(range(self.order)):
            h = reduce(torch.add, branches)
            inner = torch.empty(len(branches) + 1, *x.shape, dtype=x.dtype, device=x.device)
            inner[0] = x
            # multiply by the gate, which is ReLU's derivative, in one pass
            torch.ops.aten.threshold_backward(branches, h, 0, grad_input=inner[1:])
            inner[1:] *= self.gains[k] / self._scale(k + 1, h)
            applied = self.operate(k, inner.flatten(0, 1))
            branches = applied.reshape(*inner.shape[:2], *applied.shape[1:])
        return branches

    def hidden(self, x: Float[Tensor, "n *source"], k: int) -> Float[Tensor, "n *hidden"]:
        """Return h(k), from which Sigma(k) is computed; orders above k use the current Sigma."""
        x = self.prepare(x)
        return self._composed(x, self.operate(self.order, x), k)

    def last_input(self, x: Float[Tensor, "n *source"]) -> Float[Tensor, "n *resized"]:
        """Return the input of W(0): x + x_higher of order 1 (x itself if K = 0)."""
        u = self.prepare(x)
        if self.order == 0:
            return u
        h = self.hidden(x, 1)
        return u + self.gains[0] * torch.relu(h / self._scale(1, h))

    def prepare(self, x: Float[Tensor, "n *source"]) -> Float[Tensor, "n *resized"]:
        """Resize maps to the target's size; with ``sigma="image"`` divide x by its scale."""
        x = match_size(x, self.target_shape)
        return x / image_scale(x) if self.sigma == "image" else x

    def operate(self, k: int, u: Float[Tensor, "n *input"]) -> Float[Tensor, "n *output"]:
        """Apply the linear operation W(k)."""
        for weight in self.factors(k):
            u = apply_weight(u, weight)
        return u

    def _scale(self, k: int, h: Tensor) -> Tensor:
        """Return Sigma(k)^(1/2) + epsilon, without gradient, in a shape to broadcast over h."""
        if self.sigma == "image":
            return image_scale(h.detach())
        if self.training:
            self.batch_variances[k] = channel_variance(h.detach(), self.channel_axis)
        variance = self.batch_variances[k] if self.training else self.variance[k - 1]
        deviation = variance.sqrt() + EPSILON
        return deviation[:, None, None] if self.on_maps else deviation


def apply_weight(u: Tensor, weight: Tensor) -> Tensor:
    """Convolve maps with zero padding, or apply a linear map to other features."""
    if weight.ndim == 4:
        return F.conv2d(u, weight, padding=weight.shape[-1] // 2)
    return F.linear(u, weight)


def check_shapes(source: Shape, target: Shape) -> None:
    """Refuse features for which g is not defined."""
    if len(source) != len(target) or len(target) not in (1, 2, 3):
        raise FeatureError(
            f"g maps vectors (d,), tokens (t, d) or maps (c, h, w) to features of the same kind; "
            f"got source {tuple(source)} and target {tuple(target)} for one image. "
            "Fix: compare layers of the same kind, or flatten both."
        )
    if len(target) == 2 and source[0] != target[0]:
        raise FeatureError(
            f"tokens cannot be resized: source {tuple(source)} has {source[0]} of them, target "
            f"{tuple(target)} has {target[0]}. Fix: compare layers with equal numbers of tokens."
        )


def channels_of(shape: Shape) -> int:
    """Return the number of channels (maps) or units (vectors, tokens) of one image's feature."""
    return shape[0] if len(shape) == 3 else shape[-1]


def inputs_of(field: int, source: Shape) -> int:
    """Return the number of inputs of a linear map of a field."""
    return channels_of(source) * (field**2 if len(source) == 3 else 1)


def positions_of(shape: Shape) -> int:
    """Return the number of positions (maps) or tokens of one image's feature; 1 for vectors."""
    return math.prod(shape) // channels_of(shape)


def match_size(x: Float[Tensor, "n *source"], target: Shape) -> Float[Tensor, "n *resized"]:
    """Resize maps bilinearly to the target's size; the paper does not state its method."""
    if len(target) != 3 or tuple(x.shape[-2:]) == tuple(target[-2:]):
        return x
    return F.interpolate(x, size=target[-2:], mode="bilinear", align_corners=False)


def channel_variance(h: Tensor, channel_axis: int) -> Float[Tensor, " c"]:
    """Return the variance of each channel over images and positions (divided by the count)."""
    wide = h.float() if h.dtype in (torch.bfloat16, torch.float16) else h
    other = [axis for axis in range(h.ndim) if axis != channel_axis % h.ndim]
    return wide.var(dim=other, correction=0)


def image_scale(h: Float[Tensor, "n *shape"]) -> Float[Tensor, "n *scale"]:
    """Return standard deviations over positions, by image and channel (unbiased; 1 for one)."""
    positions = {2: (), 3: (1,), 4: (2, 3)}[h.ndim]
    if math.prod(h.shape[axis] for axis in positions) == 1:
        return torch.ones_like(h)
    return h.std(dim=positions, correction=1, keepdim=True) + EPSILON


def _fresh(shape: Shape, generator: torch.Generator | None) -> nn.Parameter:
    """Draw a weight as ``nn.Conv2d`` and ``nn.Linear`` do."""
    weight = torch.empty(shape)
    nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=generator)
    return nn.Parameter(weight)
