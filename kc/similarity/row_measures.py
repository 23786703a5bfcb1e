"""Read two layers as rows of units, in one of three readings.

``positions``: each position of a map (each token, each vector) is a row, its channels the units.
``patches``: the same rows, but the source's units are those of the neighbourhood that g's
convolutions see. ``flattened``: each image is a row, and all its values are units.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Literal, NamedTuple

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from kc.consistency.data import FeaturePair
from kc.consistency.net import channels_of, inputs_of, match_size, positions_of
from kc.consistency.order import Rows
from kc.errors import FeatureError
from kc.similarity.formulas import TargetUnits
from kc.similarity.moments import Blocks, JointMoments, joint_moments
from kc.similarity.row_formulas import narrow

Reading = Literal["positions", "patches", "flattened"]
_POSITIONS = MappingProxyType({2: "n d -> n d", 3: "n t d -> (n t) d", 4: "n c h w -> (n h w) c"})


class Halves(NamedTuple):
    """Moments of the images to fit a map on, and of those to measure on."""

    train: JointMoments
    test: JointMoments
    units: TargetUnits | None
    """The target's units if the features were reduced to fewer columns; else None."""


@dataclass(frozen=True)
class RowView:
    """Two layers in one reading."""

    pair: FeaturePair
    reading: Reading
    block: int
    """Images multiplied at a time."""
    kernel_size: int = 3
    """Side of a patch; it is zero beyond the border, as for g's convolutions."""

    def halves(self, train: Rows, test: Rows) -> Halves:
        """Return the moments of training and test images.

        Raises
        ------
        FeatureError
            A feature is constant.
        """
        feeds: list[Blocks] = [partial(self._blocks, rows) for rows in (train, test)]
        units = None
        if self._fewer_rows_than_units(len(train) + len(test)):
            feeds, units = narrow(feeds)
        seen, held = (joint_moments(feed) for feed in feeds)
        for rows, moments in (("training", seen), ("test", held)):
            _check_varying(moments, rows)
        return Halves(seen, held, units)

    def _blocks(self, rows: Rows) -> Iterator[tuple[Tensor, Tensor]]:
        # patches repeat each value many times
        block = self.block // self.kernel_size**2 if self.reading == "patches" else self.block
        for x, y in self.pair.in_order(rows, max(1, block)):
            yield self._source(x.double()), self._target(y.double())

    def _source(self, x: Tensor) -> Tensor:
        if self.reading != "flattened":
            x = match_size(x, self.pair.target_shape)
        if self.reading == "patches" and x.ndim == 4:
            patches = F.unfold(x, self.kernel_size, padding=self.kernel_size // 2)
            return rearrange(patches, "n units positions -> (n positions) units")
        return self._target(x)

    def _target(self, y: Tensor) -> Tensor:
        is_flat = self.reading == "flattened"
        return rearrange(y, "n ... -> n (...)" if is_flat else _POSITIONS[y.ndim])

    def _fewer_rows_than_units(self, images: int) -> bool:
        source, target = self.pair.source_shape, self.pair.target_shape
        if self.reading == "flattened":
            return images < max(math.prod(source), math.prod(target))
        units = inputs_of(self.kernel_size if self.reading == "patches" else 1, source)
        return images * positions_of(target) < max(units, channels_of(target))


def _check_varying(moments: JointMoments, rows: str) -> None:
    for side, mean, squares in (
        ("source", moments.source_mean, moments.source.trace()),
        ("target", moments.target_mean, moments.target.trace()),
    ):
        # the deviations of a constant are rounding of its mean
        if float(squares) <= 1e-24 * moments.rows * float(mean.square().sum()):
            raise FeatureError(
                f"{side}: no unit varies over the {moments.rows} {rows} rows, so nothing can be "
                "compared. Fix: check the network and the layer it was recorded from."
            )
