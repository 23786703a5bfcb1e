"""Describe the files of a fit's variants (:mod:`kc.plans.variants`)."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from kc.consistency.fit_product import FitProduct
from kc.consistency.saved import load_fit
from kc.plans.variants import RESTART, Variant
from kc.provenance import product_key
from kc.runtime import derive_seed
from kc.settings.reconstruction import Consistency
from kc.store.product import read_card

LEAST = 0.005
"""A restart ends after a round that improves the validation MSE by less than this share."""


def restarted(settings: Consistency, card: Mapping[str, Any]) -> Variant:
    """Return the variant that continues training by the same rule, at most as long again."""
    more = {"epochs": card["epochs"], "improvement": LEAST}
    changed = settings.optimiser.model_copy(update=more)
    return Variant(RESTART, {"optimiser": changed}, follows=True)


def varied(own: FitProduct, variant: Variant, out: Path) -> FitProduct:
    """Describe what a variant of ``own``, whose files are in ``out``, is made from."""
    folder, inputs, goes_on = out / "fits" / own.name, {"fit": own.key}, False
    settings = own.settings.model_copy(update=dict(variant.changes))
    if variant.follows:
        card = read_card(folder)
        inputs["initial"] = card["digest"]
        # the linear start has gains 0, where a sigmoid has no gradient to increase them
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
