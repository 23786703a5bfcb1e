"""Choose the filters and images of feature maps to show."""

import numpy as np
from jaxtyping import Bool, Float, Int

from kc.errors import FeatureError

WEAK = 0.01
"""A channel is weak if its variance is below this share of the median channel's."""
CHOICE = (
    "Filters are those with the largest share of the part's variance in that of the whole (each "
    "about the channel's own mean; channels whose variance is below "
    f"{100 * WEAK:g} % of the median channel's are left out). Images are those with the largest "
    "mean square of the part's map of that filter. Ties go to the lower number."
)
"""Description of :func:`choose_filters` and :func:`choose_images` for captions."""


def choose_filters(
    whole: Float[np.ndarray, "..."], part: Float[np.ndarray, "..."], count: int
) -> Int[np.ndarray, " count"]:
    r"""Choose the filters with the largest Var(part) / Var(whole), largest first.

    .. math:: \mathrm{share}_c = \mathrm{Var}(x^{part}_c) / \mathrm{Var}(x_c)

    with each channel's variance about its own mean over images and positions. Channels whose
    Var(whole) is 0, or below 1 % of the median channel's, are left out: their share is meaningless.

    Parameters
    ----------
    whole, part
        (n, c, h, w), floating point, in the same units: e.g. x* and x^Delta.
    count
        Number of filters to return.

    Raises
    ------
    FeatureError
        Features are no maps, shapes differ, values are not finite, or there are fewer channels
        than ``count``.
    """
    _refuse_vectors(whole, "whole")
    if whole.shape != part.shape:
        raise FeatureError(
            f"part: shape {part.shape}; expected the whole's, {whole.shape}. "
            "Fix: pass the same images and the same layer of both."
        )
    of_whole, of_part = _channel_variances(whole, "whole"), _channel_variances(part, "part")
    live = live_channels(of_whole)
    if not 0 <= count <= live.sum():
        raise FeatureError(
            f"count: {count} filters asked for; {live.sum()} of {len(live)} channels vary enough "
            "to be shown. Fix: ask for fewer."
        )
    share = np.full(len(live), -np.inf)
    share[live] = of_part[live] / of_whole[live]
    return np.argsort(-share, kind="stable")[:count]


def live_channels(variances: Float[np.ndarray, " c"]) -> Bool[np.ndarray, " c"]:
    """Return which channels vary enough to be shown: not 0, nor below 1 % of the median's."""
    return np.asarray((variances > 0) & (variances >= WEAK * np.median(variances)))


def choose_images(
    part: Float[np.ndarray, "..."], channel: int, count: int
) -> Int[np.ndarray, " count"]:
    """Choose the images in which a filter's map of the part has the largest mean square.

    Parameters
    ----------
    part
        (n, c, h, w), floating point: e.g. x^Delta of the images to choose from.
    channel
        The filter, 0 to c - 1.
    count
        Number of images to return, as rows of ``part``, strongest first.

    Raises
    ------
    FeatureError
        Features are no maps, the filter does not exist, values are not finite, or there are
        fewer images than ``count``.
    """
    _refuse_vectors(part, "part")
    if not 0 <= channel < part.shape[1]:
        raise FeatureError(f"channel: {channel}; expected 0 to {part.shape[1] - 1}, as part has.")
    if not 0 <= count <= len(part):
        raise FeatureError(
            f"count: {count} images asked for; part has {len(part)}. Fix: ask for fewer."
        )
    strength = np.square(part[:, channel].astype(np.float64)).mean((1, 2))
    refuse_not_finite(strength, f"part, channel {channel}")
    return np.argsort(-strength, kind="stable")[:count]


def choose_ends(
    share: Float[np.ndarray, " c"], live: Bool[np.ndarray, " c"], count: int
) -> Int[np.ndarray, " chosen"]:
    """Rank the live channels by share, largest first; keep both ends of more than ``count``."""
    ranked = np.flatnonzero(live)[np.argsort(-share[live], kind="stable")]
    if len(ranked) <= count:
        return ranked
    return np.concatenate([ranked[: -(-count // 2)], ranked[len(ranked) - count // 2 :]])


def refuse_not_finite(values: np.ndarray, name: str) -> None:
    """Check that all values are finite.

    Raises
    ------
    FeatureError
        One is NaN or infinite.
    """
    if not np.isfinite(values).all():
        raise FeatureError(
            f"{name}: holds NaN or infinity. Fix: check the features (float16 overflows at "
            "65504: keep them as float32)."
        )


def _channel_variances(values: Float[np.ndarray, "..."], name: str) -> Float[np.ndarray, " c"]:
    """Compute variances one channel at a time, so that memory holds one channel in float64."""
    found = [values[:, c].astype(np.float64).var() for c in range(values.shape[1])]
    variances = np.asarray(found, np.float64)
    refuse_not_finite(variances, name)
    return variances


def _refuse_vectors(values: np.ndarray, name: str) -> None:
    if values.ndim != 4 or not values.size:
        raise FeatureError(
            f"{name}: shape {values.shape}; expected feature maps (n, c, h, w), none of them 0. "
            "Vectors and tokens have no map. Fix: take a convolutional layer."
        )
