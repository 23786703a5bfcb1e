"""The second method written plainly in float64 from [C20] and method.md section 4.

Shares no code with kc: loops over cells and images, closed forms for a linear layer. Slow.
"""

import itertools
import math

import numpy as np

HALF_LOG = 0.5 * math.log(2 * math.pi * math.e)


def released_path(
    alpha: np.ndarray, weight: float, target: float = -2.8, rate: float = 1e-4
) -> tuple[list[np.ndarray], int, int]:
    """Recurse sigma <- clip(sigma) - lr (2e4 alpha sigma - lambda / (G sigma)) for a linear layer.

    Gives the sigma of each step, the number of steps and the step nearest the target.
    """
    sigma = np.full(alpha.shape, 0.01)
    seen: list[np.ndarray] = []
    means: list[float] = []
    for step in range(80):
        sigma = np.minimum(np.maximum(sigma, 0.001), 1.0)
        seen.append(sigma.copy())
        means.append(float(np.mean(np.log(sigma) + HALF_LOG)))
        sigma = sigma - rate * (2e4 * alpha * sigma - weight / (alpha.size * sigma))
        if step + 1 == 60:
            if max(means) > target:
                break
            weight = 1.5 * weight
    nearest = min(range(len(means)), key=lambda k: abs(means[k] - target))
    return seen, len(seen), nearest


def released_optimum(alpha: np.ndarray, weight: float) -> np.ndarray:
    """Return clip(0.01 sqrt(lambda / (2 G alpha)), 0.001, 1)."""
    return np.clip(0.01 * np.sqrt(weight / (2 * alpha.size * alpha)), 0.001, 1.0)


def water(cost: np.ndarray, limit: float) -> np.ndarray:
    """Return min(1, sqrt(mu / a)) with sum a sigma^2 = limit: cells that reach 1 leave, in turn."""
    full = np.zeros(cost.shape, dtype=bool)
    while True:
        left = limit - cost[full].sum()
        mu = left / max(1, int((~full).sum()))
        over = ~full & (mu > cost)
        if not over.any():
            return np.where(full, 1.0, np.sqrt(mu / cost))
        full |= over


def counts(
    entropy: np.ndarray, foreground: np.ndarray, threshold: float, level: str
) -> tuple[list[int], list[int], list[float]]:
    """Count N_fg, N_bg and their ratio, image by image and cell by cell."""
    own = []
    for h, front in zip(entropy, foreground, strict=True):
        cells = [h[i] for i in np.ndindex(h.shape) if not front[i]]
        own.append(sum(cells) / len(cells) if cells else math.nan)
    known = [value for value in own if not math.isnan(value)]
    fg, bg, ratio = [], [], []
    for n, h in enumerate(entropy):
        bar = own[n] if level == "image" else sum(known) / len(known)
        inside = outside = 0
        for i in np.ndindex(h.shape):
            if bar - h[i] > threshold:
                inside, outside = inside + bool(foreground[n][i]), outside + (not foreground[n][i])
        fg.append(inside)
        bg.append(outside)
        ratio.append(inside / (inside + outside) if inside + outside else 0.0)
    return fg, bg, ratio


def kept(sets: list[list[set[tuple[int, int]]]]) -> list[float]:
    """Return |S_M| / |union of S_j| by image; ``sets[checkpoint][image]``, epoch 0 left out."""
    result = []
    for image in range(len(sets[0])):
        union = set().union(*(checkpoint[image] for checkpoint in sets))
        result.append(len(sets[-1][image]) / len(union) if union else math.nan)
    return result


def richest(n_fg: list[list[int]], epochs: list[int]) -> list[int]:
    """Return the checkpoint of most concepts of each image; ``n_fg[checkpoint][image]``."""
    result = []
    for image in range(len(n_fg[0])):
        best = -1
        for row, epoch in enumerate(epochs):
            if epoch > 0 and (best < 0 or n_fg[row][image] > n_fg[best][image]):
                best = row
        result.append(best)
    return result


def travelled(weights: list[list[np.ndarray]]) -> list[float]:
    """Return sum ||w_k - w_(k-1)|| / ||w_0|| up to each k; ``weights[k]`` are all tensors."""
    start = math.sqrt(sum(float(x) ** 2 for w in weights[0] for x in w.flat))
    result = [0.0]
    for old, new in itertools.pairwise(weights):
        squares = [
            (float(y) - float(x)) ** 2
            for a, b in zip(old, new, strict=True)
            for x, y in zip(a.flat, b.flat, strict=True)
        ]
        result.append(result[-1] + math.sqrt(sum(squares)) / start)
    return result


def cells(mask: np.ndarray, grid: int) -> np.ndarray:
    """Return which cells are foreground: at least half of their pixels, counted one by one."""
    height, width = mask.shape
    inside, every = np.zeros((grid, grid), int), np.zeros((grid, grid), int)
    for y in range(height):
        for x in range(width):
            at = y * grid // height, x * grid // width
            every[at] += 1
            inside[at] += bool(mask[y, x])
    return 2 * inside >= every


def selected(entropy: np.ndarray, foreground: np.ndarray) -> list[bool]:
    """Return which images have Hbar_bg >= Hbar_fg throughout; ``entropy[checkpoint, image]``."""
    result = []
    for image, front in enumerate(foreground):
        keep = bool(front.any() and not front.all())
        for h in entropy[:, image]:
            inside = [h[i] for i in np.ndindex(h.shape) if front[i]]
            outside = [h[i] for i in np.ndindex(h.shape) if not front[i]]
            keep = keep and sum(outside) / len(outside) >= sum(inside) / len(inside)
        result.append(keep)
    return result
