"""Fits beside a fit's own: other orders, other lambda, other seeds, and training gone on with."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from kc.consistency.fit_product import FitProduct
from kc.consistency.ladder import PENALTIES
from kc.consistency.optimise import Choose
from kc.consistency.saved import load_fit
from kc.provenance import product_key
from kc.runtime import derive_seed
from kc.settings.reconstruction import Consistency
from kc.store.product import read_card

RESTART = 0.005
"""Share of validation MSE below which a round of a restart ends it."""


class Variant(NamedTuple):
    """A fit beside a fit's own."""

    suffix: str
    """Of its folder."""
    changes: Mapping[str, Any] = MappingProxyType({})
    """Of the settings."""
    is_reseeded: bool = False
    """Another seed; else the same one, so that images and units are the same."""
    follows: bool = False
    """Trained from the own g; afresh where that is the linear start."""
    choose: Choose = "validation"
    """``last``: a step along a path, kept as training ends."""


def orders_and_path(settings: Consistency) -> list[Variant]:
    """List the fits of a ladder: lower orders, then the path over lambda.

    Under ``released`` there is no path: its lambda is of raw features.
    """
    lower = [Variant(f".K{k}", {"order": k}) for k in range(1, settings.order)]
    if settings.preset == "released" or not settings.order:
        return lower
    path = [
        Variant(f".lambda-{penalty:g}", {"penalty": penalty}, follows=True, choose="last")
        for penalty in PENALTIES
        if penalty != settings.penalty
    ]
    return [*lower, *path]


def reseeded(repeats: int) -> list[Variant]:
    """List the fits with other seeds of g (and so other validation cuts)."""
    return [Variant(f".{number}", is_reseeded=True) for number in range(2, repeats + 1)]


def restarted(settings: Consistency, card: Mapping[str, Any]) -> Variant:
    """Train a g on from where its card says it ended: by the same rule, at most as long again."""
    more = {"epochs": card["epochs"], "improvement": RESTART}
    changed = settings.optimiser.model_copy(update=more)
    return Variant(".restart", {"optimiser": changed}, follows=True)


def varied(own: FitProduct, variant: Variant, out: Path) -> FitProduct:
    """Say what a variant of ``own``, which lies in ``out``, is made from."""
    folder, inputs, goes_on = out / "fits" / own.name, {"fit": own.key}, False
    settings = own.settings.model_copy(update=dict(variant.changes))
    if variant.follows:
        card = read_card(folder)
        inputs["initial"] = card["digest"]
        # the linear start has its gains shut, where a sigmoid has no slope to open them by
        goes_on = card["chosen"]["stage"] != "start"
    about: dict[str, Any] = {
        "fit": settings.model_dump(mode="json", exclude={"components", "memory_gb"})
    }
    about |= {"suffix": variant.suffix, "follows": variant.follows, "choose": variant.choose}
    return replace(
        own,
        name=own.name + variant.suffix,
        key=product_key(about, inputs, "kc.consistency.variants"),
        settings=settings,
        seed=derive_seed("fit", own.seed, variant.suffix) if variant.is_reseeded else own.seed,
        kept=None,
        initial=(lambda: load_fit(folder, own.pair().device).net) if goes_on else None,
        choose=variant.choose,
    )


def folders_of(name: str, variants: Iterable[Variant]) -> list[str]:
    """Name the folders of a fit's variants, relative to the results."""
    return [f"fits/{name}{variant.suffix}" for variant in variants]
