"""Effect of noise in the grid's cells on a feature: its MSE and the gradient for sigma."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from kc.concepts.gradient import QuickGradient
from kc.concepts.noise import Noise, random_signs
from kc.concepts.settings import EntropySettings


class Response(NamedTuple):
    """Change of each image's feature under noise."""

    mse: Float[Tensor, " n"]
    """E (f(x + sigma eps) - f(x))^2, over draws and the feature's elements."""
    gradient: Float[Tensor, "n grid grid"]
    """d mse / d sigma; zeros if it was not requested."""


class Probe:
    """A layer and the images on which it is probed, on one device.

    ``head`` maps (n, 3, h, w) to the feature before its ReLU, in eval mode. On a CPU images have
    the layout channels last, in which pooling is ten times as fast.
    """

    def __init__(
        self,
        head: nn.Module,
        images: Float[Tensor, "n 3 h w"],
        seeds: Sequence[int],
        noise: Noise,
        settings: EntropySettings,
    ) -> None:
        assert not head.training, "dropout and batch norm would give random features"
        self.head, self.images, self.seeds, self.noise = head, images, seeds, noise
        self.max_batch, self.relu, self.slope = settings.max_batch, settings.relu, settings.slope
        self.layout = (
            torch.channels_last if images.device.type == "cpu" else torch.contiguous_format
        )
        with torch.no_grad():
            parts = torch.split(images, self.max_batch)
            self.clean = torch.cat([self._feature(part) for part in parts])
        self.signs = random_signs(self.clean.shape[1], images.device, images.dtype)

    def respond(
        self,
        rows: Sequence[int],
        sigma: Float[Tensor, "k grid grid"],
        steps: Sequence[int],
        draws: int,
        gradient: bool = True,
    ) -> Response:
        r"""Disturb images ``rows`` with noise of their sigma, each with the noise of its own step.

        The gradient for sigma of cell g, by Price's theorem, with U elements of the feature and
        pixels j of the cell, each colour separately:

        .. math:: \frac{\partial MSE}{\partial\sigma_g} = \frac{2\sigma_g}{U} \sum_{j \in g}
            E_\epsilon \sum_u \Big[ (\partial_j f_u)^2
            + (f_u(x') - f_u(x)) \, \partial_j^2 f_u \Big]

        ``noise`` estimates both terms from (d MSE / d x'_j) eps_j, which includes the noise of all
        other pixels. ``projection`` estimates the first term with random signs v at the disturbed
        image, as E_v (sum_u v_u d_j f_u)^2, and accounts for the second by one factor for all
        cells, so that sum_g sigma_g d MSE / d sigma_g = 2 MSE. Both are exact if the MSE is
        quadratic in sigma.

        ``pairs`` disturbs by eps and by -eps. The change of the feature has an odd part
        l = (f(x + sigma eps) - f(x - sigma eps)) / 2 and an even part q, and MSE = E l^2 + E q^2:
        the first by ``projection``, the second by ``noise``. So it includes curvature (all of q,
        above all max pooling of flat areas) but only the noise of q. For a saturating layer
        sum_g sigma_g d E l^2 / d sigma_g = 2 E l . Dl (sigma eps) is below 2 E l^2; the same signs
        measure the ratio, as E (v . l) (v . Dl (sigma eps)) over E (v . l)^2.
        """
        spread = enlarge(sigma, self.images.shape[-2], self.images.shape[-1])
        at = torch.tensor(rows, device=self.images.device)
        images, clean = self.images[at, None, None], self.clean[at, None]
        sides = 2 if gradient and self.slope == "pairs" else 1
        both = torch.stack([spread, -spread][:sides], 1)[:, :, None, None]
        noise = self._drawn(self.noise, rows, steps, draws // sides)
        signed = gradient and self.slope != "noise"
        signs = self._drawn(self.signs, rows, steps, draws // sides) if signed else None
        sums = _Sums(spread, len(rows), self.slope, draws // sides)
        room = max(1, self.max_batch // (sides * len(rows)))
        for first in range(0, draws // sides, room):
            now = slice(first, first + room)
            eps = noise[:, now]
            disturbed = torch.addcmul(images, both, eps[:, None]).flatten(1, 2)
            disturbed.requires_grad_(gradient)
            with torch.set_grad_enabled(gradient), QuickGradient():
                moved = self._moved(disturbed, clean)
            sums.mse += _squares(moved.detach()) / draws
            if gradient:
                v = None if signs is None else signs[:, now]
                sums.add(moved, disturbed, eps, v)
        return Response(sums.mse, sums.gradient(sigma))

    def _drawn(
        self, draw: Noise, rows: Sequence[int], steps: Sequence[int], draws: int
    ) -> Float[Tensor, "k draws ..."]:
        pairs = zip(rows, steps, strict=True)
        return torch.stack([draw(self.seeds[row], step, draws) for row, step in pairs])

    def _moved(self, disturbed: Tensor, clean: Tensor) -> Float[Tensor, "k d u"]:
        flat = rearrange(disturbed, "k d c h w -> (k d) c h w")
        return rearrange(self._feature(flat), "(k d) u -> k d u", d=disturbed.shape[1]) - clean

    def _feature(self, images: Tensor) -> Tensor:
        feature = self.head(images.contiguous(memory_format=self.layout)).flatten(1)
        return torch.relu(feature) if self.relu else feature


class _Sums:
    """Sums over draws, per image."""

    def __init__(self, spread: Float[Tensor, "k h w"], count: int, slope: str, draws: int) -> None:
        self.spread, self.slope, self.draws = spread, slope, draws
        self.mse = spread.new_zeros(count)
        self.quadratic_mse = spread.new_zeros(count)
        self.square, self.growth = spread.new_zeros(count), spread.new_zeros(count)
        self.quadratic, self.other = torch.zeros_like(spread), torch.zeros_like(spread)

    def add(self, moved: Tensor, disturbed: Tensor, eps: Tensor, signs: Tensor | None) -> None:
        """Backpropagate the change of the feature to the pixels; +eps come before -eps."""
        paired = self.slope == "pairs"
        odd = even = moved
        if paired:
            plus, minus = moved.chunk(2, dim=1)
            odd, even = (plus - minus) / 2, (plus + minus) / 2
        # for the images only: autograd then skips the gradients of all weights
        if signs is not None:
            signed = (odd * signs).sum(2)
            (pull,) = torch.autograd.grad(signed.sum(), disturbed, retain_graph=paired)
            pull = _across(pull, paired)
            if paired:
                along = torch.einsum("kdyx,kyx->kd", (pull * eps).sum(2), self.spread)
                self.square += signed.detach().square().sum(1)
                self.growth += (signed.detach() * along).sum(1)
            self.quadratic += _by_pixel(pull.square()) * self.spread
            self.quadratic_mse += _squares(odd.detach()) / self.draws
        if self.slope != "projection":
            (pull,) = torch.autograd.grad(_squares(even).sum(), disturbed)
            self.other += _by_pixel(_across(pull, paired) * eps) / self.draws

    def gradient(self, sigma: Float[Tensor, "k grid grid"]) -> Float[Tensor, "k grid grid"]:
        """Return d MSE / d sigma by cell; if quadratic, sum_g sigma_g d / d sigma_g = 2 MSE."""
        cells = shrink(self.quadratic, sigma.shape[-1])
        tiny = torch.finfo(cells.dtype).tiny
        grown = self.growth / self.square.clamp(min=tiny) if self.slope == "pairs" else 1
        scale = 2 * grown * self.quadratic_mse / (cells * sigma).sum((1, 2)).clamp(min=tiny)
        return cells * scale[:, None, None] + shrink(self.other, sigma.shape[-1])


def _across(pull: Float[Tensor, "k d c h w"], paired: bool) -> Float[Tensor, "k e c h w"]:
    """Subtract the gradients of -eps from those of +eps, for pairs."""
    if not paired:
        return pull
    plus, minus = pull.chunk(2, dim=1)
    return plus - minus


def _by_pixel(pull: Float[Tensor, "k d c h w"]) -> Float[Tensor, "k h w"]:
    """Sum over draws and colours; draws first, which is fast in any memory layout."""
    return pull.sum(1).sum(1)


def _squares(moved: Float[Tensor, "k d u"]) -> Float[Tensor, " k"]:
    """Return the mean square over units, summed over draws."""
    return moved.square().mean(2).sum(1)


def enlarge(cells: Float[Tensor, "k grid grid"], height: int, width: int) -> Tensor:
    """Repeat each cell over its pixels (nearest), for any ratio of side and grid."""
    down, across = _cell_of(cells, height), _cell_of(cells, width)
    return cells[:, down][:, :, across]


def shrink(pixels: Float[Tensor, "k h w"], grid: int) -> Float[Tensor, "k grid grid"]:
    """Sum pixels by cell, the adjoint of :func:`enlarge`, by products, which are deterministic."""
    cells = torch.eye(grid, dtype=pixels.dtype, device=pixels.device)
    down = cells[:, _cell_of(cells[None], pixels.shape[1])]
    across = cells[:, _cell_of(cells[None], pixels.shape[2])]
    return down @ pixels @ across.T


def _cell_of(cells: Tensor, side: int) -> Tensor:
    grid = cells.shape[-1]
    return torch.arange(side, device=cells.device) * grid // side
