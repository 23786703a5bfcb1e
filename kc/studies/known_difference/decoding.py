"""Decode a factor from features of images: ridge regression, cross-validated over the images."""

import numpy as np
from jaxtyping import Float, Int

FOLDS = 5
STRENGTHS = 10.0 ** np.arange(-6, 3)
"""Ridge strengths tried, in units of the largest squared singular value."""


def decoded(
    features: Float[np.ndarray, "n d"], factor: Float[np.ndarray, "n q"], seed: int = 0
) -> float:
    """Return how well a factor can be decoded: R^2 on held-out images, mean over its q numbers.

    1: exactly; 0: no better than the mean; below 0: worse. The images are split into ``FOLDS``
    parts; each is predicted from the others, where the strength of the ridge is chosen by leaving
    out one image at a time. The sizes of features and factor do not matter.
    """
    guessed, usual = _guesses(features, factor, seed)
    missed = np.square(factor - guessed).sum(0) / np.square(factor - usual).sum(0)
    return float(1 - missed.mean())


def decoded_classes(
    features: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"], seed: int = 0
) -> float:
    """Return how well classes can be decoded: balanced accuracy, 0 at chance and 1 if all right.

    The class of the largest ridge regression is taken, fitted as in :func:`decoded`.
    """
    names = np.unique(labels)
    guessed, _ = _guesses(features, np.asarray(labels[:, None] == names, float), seed)
    right = names[guessed.argmax(1)] == labels
    balanced = np.mean([right[labels == name].mean() for name in names])
    return float((balanced - 1 / len(names)) / (1 - 1 / len(names)))


def _guesses(
    x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "n q"], seed: int
) -> tuple[Float[np.ndarray, "n q"], Float[np.ndarray, "n q"]]:
    """Return the prediction of each image from the folds without it, and their mean."""
    fold = np.random.default_rng(seed).permutation(len(x)) % FOLDS
    guessed, usual = np.empty(y.shape), np.empty(y.shape)
    for number in range(FOLDS):
        held, seen = fold == number, fold != number
        usual[held] = y[seen].mean(0)
        guessed[held] = _ridge(x[seen], y[seen], x[held])
    return guessed, usual


def _ridge(
    x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "n q"], new: Float[np.ndarray, "m d"]
) -> Float[np.ndarray, "m q"]:
    """Predict new rows; the strength has the least error of one row left out, in closed form."""
    x_mean, y_mean = x.mean(0), y.mean(0)
    left, sizes, right = np.linalg.svd(x - x_mean, full_matrices=False)
    power = np.square(sizes)
    if power[0] == 0:
        return np.repeat(y_mean[None], len(new), axis=0)
    along, deviation = left.T @ (y - y_mean), y - y_mean
    scale = np.square(deviation).sum(0)
    scale[scale == 0] = 1
    best, least = power[0], np.inf
    for strength in power[0] * STRENGTHS:
        kept = power / (power + strength)
        # the hat matrix, with that of the mean
        hat = np.square(left) @ kept + 1 / len(x)
        missed = (deviation - left @ (kept[:, None] * along)) / (1 - hat).clip(1e-6)[:, None]
        error = float((np.square(missed).sum(0) / scale).sum())
        if error < least:
            best, least = strength, error
    weights = right.T @ ((sizes / (power + best))[:, None] * along)
    return np.asarray(y_mean + (new - x_mean) @ weights)
