"""Similarity measures written from their formulas, float64, all rows in memory."""

from itertools import pairwise

import numpy as np


def positions(values):
    """Return rows of channels: one for each position of each image."""
    if values.ndim == 2:
        return values.astype(np.float64)
    if values.ndim == 3:
        return np.concatenate(list(values.astype(np.float64)))
    n, _, h, w = values.shape
    rows = [values[i, :, a, b] for i in range(n) for a in range(h) for b in range(w)]
    return np.array(rows, np.float64)


def patches(values, side):
    """Return rows of neighbourhoods, zero beyond the border."""
    n, _, h, w = values.shape
    reach = side // 2
    wide = np.pad(values.astype(np.float64), ((0, 0), (0, 0), (reach, reach), (reach, reach)))
    return np.array(
        [
            wide[i, :, a : a + side, b : b + side].ravel()
            for i in range(n)
            for a in range(h)
            for b in range(w)
        ]
    )


def flattened(values):
    return np.array([image.ravel() for image in values], np.float64)


def resized(values, height, width):
    """Resize bilinearly, pixel centres at half, borders repeated."""
    n, c, h, w = values.shape
    out = np.zeros((n, c, height, width))
    for a in range(height):
        for b in range(width):
            y = min(max((a + 0.5) * h / height - 0.5, 0), h - 1)
            x = min(max((b + 0.5) * w / width - 0.5, 0), w - 1)
            top, left = int(y), int(x)
            below, right = min(top + 1, h - 1), min(left + 1, w - 1)
            fy, fx = y - top, x - left
            out[:, :, a, b] = (1 - fy) * (
                (1 - fx) * values[:, :, top, left] + fx * values[:, :, top, right]
            ) + fy * ((1 - fx) * values[:, :, below, left] + fx * values[:, :, below, right])
    return out


def hsic1(k, l):  # noqa: E741
    """Compute [Song2012, Eq. (5)], with the vectors of ones written out."""
    n = len(k)
    k, l = k - np.diag(np.diag(k)), l - np.diag(np.diag(l))  # noqa: E741
    one = np.ones((n, 1))
    trace = np.trace(k @ l)
    apart = (one.T @ k @ one).item() * (one.T @ l @ one).item() / ((n - 1) * (n - 2))
    along = 2 / (n - 2) * (one.T @ k @ l @ one).item()
    return (trace + apart - along) / (n * (n - 3))


def cka(x, y):
    """Compute the biased CKA from kernels centred on both sides."""
    n = len(x)
    h = np.eye(n) - np.ones((n, n)) / n
    k, l = h @ (x @ x.T) @ h, h @ (y @ y.T) @ h  # noqa: E741
    return np.trace(k @ l) / np.sqrt(np.trace(k @ k) * np.trace(l @ l))


def minibatch_cka(x, y, edges):
    """Compute [Nguyen2021, Eq. (2)]; one batch of all rows is the debiased CKA."""
    kl, kk, ll = [], [], []
    for start, stop in pairwise(edges):
        k, l = x[start:stop] @ x[start:stop].T, y[start:stop] @ y[start:stop].T  # noqa: E741
        kl.append(hsic1(k, l))
        kk.append(hsic1(k, k))
        ll.append(hsic1(l, l))
    return np.mean(kl) / np.sqrt(np.mean(kk) * np.mean(ll))


def debiased_cka(x, y):
    return minibatch_cka(x, y, [0, len(x)])


def basis(x, kept=1.0):
    """Return orthonormal columns that span the leading directions of the centred rows."""
    u, s, _ = np.linalg.svd(x - x.mean(0), full_matrices=False)
    u, s = u[:, s**2 > 1e-10 * s[0] ** 2], s[s**2 > 1e-10 * s[0] ** 2]
    if kept < 1:
        count = next(i for i in range(1, len(s) + 1) if (s[:i] ** 2).sum() >= kept * (s**2).sum())
        u = u[:, :count]
    return u


def mean_cca(x, y, kept=1.0):
    qx, qy = basis(x, kept), basis(y, kept)
    return np.linalg.svd(qx.T @ qy, compute_uv=False).sum() / min(qx.shape[1], qy.shape[1])


def svcca(x, y):
    return mean_cca(x, y, 0.99)


def pwcca(x, y):
    """Weight by the units of the feature of lower rank; by the target's if equal."""
    qx, qy = basis(x), basis(y)
    left, rho, right = np.linalg.svd(qx.T @ qy, full_matrices=False)
    if qy.shape[1] <= qx.shape[1]:
        variables, units = qy @ right.T, y - y.mean(0)
    else:
        variables, units = qx @ left, x - x.mean(0)
    alpha = [sum(abs(float(h @ z)) for z in units.T) for h in variables.T]
    return float(np.average(rho, weights=alpha))


def procrustes(x, y):
    """Compute 1 - half the squared distance after the best rotation, zero-padded."""
    x, y = x - x.mean(0), y - y.mean(0)
    width = max(x.shape[1], y.shape[1])
    x, y = (np.pad(v, ((0, 0), (0, width - v.shape[1]))) for v in (x, y))
    x, y = x / np.linalg.norm(x), y / np.linalg.norm(y)
    u, _, vt = np.linalg.svd(x.T @ y)
    return 1 - 0.5 * np.linalg.norm(x @ (u @ vt) - y) ** 2


def linear_share(x, y, x_test, y_test):
    """Solve least squares about the means (smallest solution); Var about one mean."""
    solution = np.linalg.lstsq(x - x.mean(0), y - y.mean(0), rcond=1e-7)[0]
    return (y_test - y.mean(0) - (x_test - x.mean(0)) @ solution).var() / y_test.var()
