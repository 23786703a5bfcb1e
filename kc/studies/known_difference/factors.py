"""What is known about each test picture: the factor that some networks cannot know."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from kc.networks.handicap import LUMA
from kc.plans.records.known_difference import Factor, KnownDifference
from kc.store import Store

CHROMA = (0.564, 0.713)
"""Factors of B - Y and R - Y of ITU-R BT.601's Cb and Cr."""


class KnownFactor(NamedTuple):
    """A factor of some images, and where in the picture it is."""

    rows: Int[np.ndarray, " n"]
    """Rows of the image store: test pictures that tell about the factor."""
    colours: Float[np.ndarray, "n 2"] | None
    """Factor ``grey``: mean Cb and Cr of the object."""
    labels: Int[np.ndarray, " n"] | None
    """Factor ``classes``: the class, one of those left out."""
    masks: Bool[np.ndarray, "n y x"] | None
    """The object; None if the data set has no masks."""


def known_factor(
    about: KnownDifference, factor: Factor, images: Store, test: Int[np.ndarray, " n"]
) -> KnownFactor:
    """Read the factor of the test pictures from their image store."""
    labels = images.rows["label"].to_numpy(np.int64)
    rows = test if factor == "grey" else test[labels[test] < about.left_out]
    masks = np.asarray(images["foreground"][rows]) if "foreground" in images.names else None
    if factor == "classes":
        return KnownFactor(rows, None, labels[rows], masks)
    return KnownFactor(rows, mean_chroma(np.asarray(images["image"][rows]), masks), None, masks)


def mean_chroma(
    pictures: np.ndarray, masks: Bool[np.ndarray, "n y x"] | None
) -> Float[np.ndarray, "n 2"]:
    """Return mean Cb and Cr of each picture (n, 3, y, x), inside its mask if it has one."""
    found = np.empty((len(pictures), 2))
    weights = np.asarray(LUMA) / 65536
    for number, picture in enumerate(pictures):
        mask = np.ones(picture.shape[1:], bool) if masks is None else masks[number]
        # a picture whose mask is empty counts as a whole
        red, green, blue = picture[:, mask if mask.any() else ~mask].mean(1)
        luma = weights @ (red, green, blue)
        found[number] = CHROMA[0] * (blue - luma), CHROMA[1] * (red - luma)
    return found
