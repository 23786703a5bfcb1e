"""Compute the measures of all pairs of layers from the inner products of their images."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from kc.progress import progress_bar
from kc.runtime import derive_seed
from kc.similarity.dual_share import ImageParts, TargetGrams, dual_shares
from kc.similarity.gram_measures import (
    calibrated_share,
    calibrated_similarity,
    cka_form,
    draw_permutations,
    neighbours_form,
    p_values,
    permuted_products,
)

PERMUTED = 199
"""Permutations of the images for similarities: the smallest p is 0.005."""
PERMUTED_MAPS = 5
"""Permutations of the images for linear maps; too few for a p."""
FORMS: dict[str, Callable[[Tensor], Tensor]] = {
    "cka": cka_form,
    "neighbours_flattened": neighbours_form,
}
LINEAR = "linear_flattened"
"""Column of the share that the linear map misses; of two sides, before the target's letter."""


@torch.no_grad()
def all_pairs(
    first: Float[Tensor, "a n n"], second: Float[Tensor, "b n n"], parts: ImageParts, seed: int
) -> dict[str, Float[Tensor, "a b"]]:
    """Return each measure of each pair, its value calibrated by permuted images, and p.

    Parameters
    ----------
    first, second
        Inner products of the images for the layers of a and of b
        (:func:`kc.similarity.grams.image_gram`), ordered as ``parts`` says.
    seed
        Of the permutations.

    Returns
    -------
    dict
        ``cka`` and ``neighbours_flattened`` (test images): also ``_calibrated`` and ``p_``.
        ``linear_flattened_b`` (b from a), ``linear_flattened_a``: also ``_calibrated``.
    """
    of_test = draw_permutations([parts.test], PERMUTED, derive_seed("null", seed))
    of_parts = draw_permutations(parts, PERMUTED_MAPS, derive_seed("null", seed))
    held = slice(parts.known, None)
    found: dict[str, Tensor] = {}
    for name, form in FORMS.items():
        sides = [[form(one[held, held]) for one in side] for side in (first, second)]
        found |= _similarities(name, sides[0], torch.stack(sides[1]), of_test)
    for letter, sources, targets in (("b", first, second), ("a", second, first)):
        values, calibrated = _shares(f"linear maps to {letter}", sources, targets, parts, of_parts)
        name = f"{LINEAR}_{letter}"
        found[name] = values if letter == "b" else values.T
        found[f"{name}_calibrated"] = calibrated if letter == "b" else calibrated.T
    return found


@torch.no_grad()
def one_to_many(
    source: Float[Tensor, "n n"], targets: Float[Tensor, "t n n"], parts: ImageParts, seed: int
) -> dict[str, Float[Tensor, " t"]]:
    """Return what :func:`all_pairs` does, of each target from one source.

    ``linear_flattened`` is the share of the target that the source's linear map misses.
    """
    of_test = draw_permutations([parts.test], PERMUTED, derive_seed("null", seed))
    of_parts = draw_permutations(parts, PERMUTED_MAPS, derive_seed("null", seed))
    held = slice(parts.known, None)
    found: dict[str, Tensor] = {}
    for name, form in FORMS.items():
        formed = torch.stack([form(one[held, held]) for one in targets])
        found |= _similarities(name, [form(source[held, held])], formed, of_test)
    values, calibrated = _shares("linear maps", source[None], targets, parts, of_parts)
    found |= {LINEAR: values, f"{LINEAR}_calibrated": calibrated}
    return {name: value[0] for name, value in found.items()}


@torch.no_grad()
def raw_values(
    sources: Float[Tensor, "s n n"], targets: Float[Tensor, "t n n"], parts: ImageParts
) -> dict[str, Float[Tensor, "s t"]]:
    """Return the measures of :func:`one_to_many` of each source and target, without a null."""
    held = slice(parts.known, None)
    found: dict[str, Tensor] = {}
    for name, form in FORMS.items():
        one, other = (
            torch.stack([form(gram[held, held]).flatten() for gram in some])
            for some in (sources, targets)
        )
        found[name] = one @ other.T
    prepared, unmoved = TargetGrams.of(targets, parts), draw_permutations(parts, 0, 0)
    found[LINEAR] = torch.stack([dual_shares(one, prepared, parts, unmoved)[0] for one in sources])
    return found


def _similarities(
    name: str, sources: list[Tensor], targets: Tensor, permutations: Int[np.ndarray, "p n"]
) -> dict[str, Tensor]:
    values, calibrated, p = [], [], []
    for source in progress_bar(sources, desc=name, unit="layer"):
        products = permuted_products(source, targets, permutations)
        values.append(products[0])
        calibrated.append(calibrated_similarity(products[0], products[1:]))
        p.append(p_values(products[0], products[1:]))
    return {
        name: torch.stack(values),
        f"{name}_calibrated": torch.stack(calibrated),
        f"p_{name}": torch.stack(p),
    }


def _shares(
    direction: str,
    sources: Tensor,
    targets: Tensor,
    parts: ImageParts,
    permutations: Int[np.ndarray, "p n"],
) -> tuple[Tensor, Tensor]:
    prepared = TargetGrams.of(targets, parts)
    values, calibrated = [], []
    for source in progress_bar(sources, desc=direction, unit="layer"):
        shares = dual_shares(source, prepared, parts, permutations)
        values.append(shares[0])
        calibrated.append(calibrated_share(shares[0], shares[1:]))
    return torch.stack(values), torch.stack(calibrated)
