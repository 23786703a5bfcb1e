"""Compute accuracies with intervals by a bootstrap over test images, paired for gains."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool

from kc.runtime import derive_seed

DRAWS = 2000
LEVEL = 0.95


def accuracies(
    correct: Mapping[str, Bool[np.ndarray, " n"]], against: Sequence[str] = (), seed: int = 0
) -> pd.DataFrame:
    """Compute the accuracy of each classifier, and its gains over some of them.

    Every draw takes the same test images for all classifiers, so the interval of a gain is that
    of a paired difference.

    Parameters
    ----------
    correct
        By classifier: whether it classifies each test image correctly; same order for all.
    against
        Classifiers over which gains are computed.
    seed
        Seed of the draws.

    Returns
    -------
    DataFrame
        features, top1, ci_low, ci_high (percent), n (test images), and for each name X of
        ``against`` gain_over_X, gain_over_X_low, gain_over_X_high (percentage points).
    """
    names = list(correct)
    right = np.stack([np.asarray(correct[name], dtype=bool) for name in names])
    n = right.shape[1]
    generator = np.random.default_rng(derive_seed("bootstrap", seed))
    # a mean over a draw needs only how often each image is drawn
    counts = generator.multinomial(n, np.full(n, 1 / n), size=DRAWS)
    drawn = 100 * counts @ right.T.astype(np.float64) / n
    shares = 100 * right.mean(1)
    frame = pd.DataFrame({"features": names, "top1": shares})
    frame["ci_low"], frame["ci_high"] = _ends(drawn)
    frame["n"] = n
    for name in against:
        at = names.index(name)
        frame[f"gain_over_{name}"] = shares - shares[at]
        low, high = _ends(drawn - drawn[:, [at]])
        frame[f"gain_over_{name}_low"], frame[f"gain_over_{name}_high"] = low, high
    return frame


def _ends(drawn: np.ndarray) -> np.ndarray:
    return np.asarray(np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0))
