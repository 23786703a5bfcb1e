"""Offer each measure as a function of two representations, as benchmarks of measures call it.

``measure(R, Rp, shape)`` with ``larger_is_more_similar`` and ``is_symmetric`` is the interface of
ReSi [Klabunde2025] (ReSi: A Comprehensive Benchmark for Representational Similarity Measures). Maps
keep their positions: R and Rp are what the network gives, not flattened.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from kc.consistency.fit import fit
from kc.consistency.order import Rows, cut
from kc.errors import FeatureError
from kc.runtime import derive_seed
from kc.similarity.dual_share import ImageParts, TargetGrams, dual_shares
from kc.similarity.gram_measures import cka_form, draw_permutations, neighbours_form
from kc.similarity.grams import centred_about, image_gram
from kc.similarity.measures import NAMES, similarities

TEST_SHARE = 0.4
"""Share of the rows on which a share is measured; maps are fitted to the others."""
CPU = torch.device("cpu")
DIMENSIONS: Mapping[str, int] = MappingProxyType({"nd": 2, "ntd": 3, "nchw": 4})
"""Number of dimensions of each shape: vectors, tokens, maps."""


@dataclass(frozen=True)
class Measure:
    """A measure of two representations of the same images."""

    name: str
    larger_is_more_similar: bool
    is_symmetric: bool
    """False: it says what of ``Rp`` is missing in ``R``."""
    of: Callable[[np.ndarray, np.ndarray], float]

    def __call__(self, R: Any, Rp: Any, shape: str) -> float:
        """Return the measure; row i of both is the same image.

        Parameters
        ----------
        R, Rp
            Arrays or tensors ``(n, d)`` vectors, ``(n, t, d)`` tokens, or ``(n, c, h, w)`` maps.
        shape
            ``nd``, ``ntd`` or ``nchw``.

        Raises
        ------
        FeatureError
            The number of dimensions is not that of ``shape``, the numbers of images differ, or
            the features cannot be compared.
        """
        first, second = (_array(values, shape) for values in (R, Rp))
        if len(first) != len(second):
            raise FeatureError(
                f"{len(first)} rows of R and {len(second)} of Rp; row i of both must be the same "
                "image."
            )
        return self.of(first, second)


def split_rows(count: int) -> tuple[Rows, Rows]:
    """Return training and test rows, drawn at random, the same ones for any two features."""
    order = np.random.default_rng(derive_seed("measure", count)).permutation(count)
    tested = round(TEST_SHARE * count)
    return np.sort(order[tested:]), np.sort(order[:tested])


def _array(values: Any, shape: str) -> np.ndarray:
    if shape not in DIMENSIONS:
        raise FeatureError(f"shape '{shape}'; expected one of {', '.join(DIMENSIONS)}.")
    found = np.asarray(values.detach().cpu() if isinstance(values, torch.Tensor) else values)
    if found.ndim != DIMENSIONS[shape]:
        told = " x ".join(map(str, found.shape))
        raise FeatureError(
            f"a representation is {told}; expected {DIMENSIONS[shape]} dimensions for '{shape}'."
        )
    return found


def _xdelta(source: np.ndarray, target: np.ndarray) -> float:
    train, test = split_rows(len(source))
    return fit(source, target, train=train, centring="channel").instability(source, target, test)


def _linear(source: np.ndarray, target: np.ndarray) -> float:
    train, test = split_rows(len(source))
    fitted, validation = cut(train, 0)
    parts = ImageParts(len(fitted), len(validation), len(test))
    rows = np.concatenate([fitted, validation, test])
    one, other = (
        centred_about(image_gram(some.__getitem__, rows, CPU), slice(parts.known))
        for some in (source, target)
    )
    identity = draw_permutations(parts, 0, 0)
    return float(dual_shares(one, TargetGrams.of(other[None], parts), parts, identity)[0, 0])


def _of_grams(form: Callable[[torch.Tensor], torch.Tensor]) -> Callable[..., float]:
    """Return a measure that is the product of two forms of inner products, over all rows."""

    def measured(first: np.ndarray, second: np.ndarray) -> float:
        rows = np.arange(len(first))
        one, other = (form(image_gram(some.__getitem__, rows, CPU)) for some in (first, second))
        return float((one * other).sum())

    return measured


def _peer(name: str) -> Callable[..., float]:
    def measured(first: np.ndarray, second: np.ndarray) -> float:
        return float(similarities(first, second, *split_rows(len(first)))[name])

    return measured


_DIRECTED = ("linear", "pwcca")
_GRAMS = {"cka": cka_form, "neighbours_flattened": neighbours_form}
_MAPS = {"xdelta": _xdelta, "linear_flattened": _linear}
MEASURES: Mapping[str, Measure] = MappingProxyType(
    {name: Measure(name, False, False, of) for name, of in _MAPS.items()}
    | {name: Measure(name, True, True, _of_grams(form)) for name, form in _GRAMS.items()}
    | {
        name: Measure(
            name, not name.startswith("linear"), not name.startswith(_DIRECTED), _peer(name)
        )
        for name in NAMES
    }
)
"""All measures by name; those of :data:`kc.similarity.measures.NAMES` are each computed with all
others of them. ``xdelta`` and ``linear_flattened`` are shares of Var(Rp) on test rows."""
