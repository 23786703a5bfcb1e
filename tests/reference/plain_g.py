"""g written plainly in float64, order by order, from [L20, Eqs. (1)-(4)] and the released formulas.

Shares no code with kc and calls no convolution: a shifted sum of matrix products does it. Slow.
"""

import torch
from torch import Tensor

EPS = 1e-5


def conv(x: Tensor, weight: Tensor) -> Tensor:
    """Cross-correlate maps with zero padding of (k - 1) / 2, or apply a linear map."""
    if weight.ndim == 2:
        return torch.einsum("...i,oi->...o", x, weight)
    n, _, height, width = x.shape
    side = weight.shape[-1]
    pad = (side - 1) // 2
    out = torch.zeros(n, weight.shape[0], height, width, dtype=x.dtype)
    for i in range(side):
        for j in range(side):
            for y in range(height):
                for z in range(width):
                    a, b = y + i - pad, z + j - pad
                    if 0 <= a < height and 0 <= b < width:
                        out[:, :, y, z] += x[:, :, a, b] @ weight[:, :, i, j].T
    return out


def image_deviation(h: Tensor) -> Tensor:
    """Return the released scale: std over positions of each image and channel, + 1e-5; else 1."""
    if h.ndim == 2:
        return torch.ones_like(h)
    out = torch.ones_like(h)
    for n in range(h.shape[0]):
        for c in range(h.shape[1] if h.ndim == 4 else h.shape[2]):
            at = (n, c) if h.ndim == 4 else (n, slice(None), c)
            values = h[at].flatten()
            if len(values) > 1:
                mean = values.sum() / len(values)
                out[at] = ((values - mean) ** 2).sum().div(len(values) - 1).sqrt() + EPS
    return out


def dataset_deviation(variance: Tensor, h: Tensor) -> Tensor:
    """Return sqrt(variance) + 1e-5 by channel, shaped like h."""
    deviation = variance.sqrt() + EPS
    return (deviation[None, :, None, None] if h.ndim == 4 else deviation).expand_as(h)


def components(
    x: Tensor, weights: list[Tensor], gains: Tensor, variances: Tensor | None
) -> tuple[Tensor, list[Tensor]]:
    """Return g(x) and x(0)..x(K); ``variances`` None is the released preset."""
    order = len(weights) - 1
    if variances is None:
        x = x / image_deviation(x)
    gates, scales = {}, {}
    h = conv(x, weights[order])
    for k in range(order, 0, -1):
        scales[k] = (
            image_deviation(h) if variances is None else dataset_deviation(variances[k - 1], h)
        )
        gates[k] = (h / scales[k] > 0).to(x.dtype)
        higher = gains[k - 1] * torch.clamp(h / scales[k], min=0)
        h = conv(x + higher, weights[k - 1])
    parts = []
    for k in range(order + 1):
        z = x
        for j in range(k, 0, -1):
            z = gains[j - 1] * gates[j] * conv(z, weights[j]) / scales[j]
        parts.append(conv(z, weights[0]))
    return h, parts
