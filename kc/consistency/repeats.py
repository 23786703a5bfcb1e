"""Measure how reproducible a fit is: other seeds of g, and continued training."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from kc.consistency.fit_product import FitProduct
from kc.consistency.rungs import make_fitted
from kc.consistency.variants import restarted, varied
from kc.names import component_names
from kc.plans.variants import reseeded
from kc.provenance import product_key
from kc.store.files import write_bytes_atomic
from kc.store.product import Product

REPEATS = "repeats.csv"


class Repeats(NamedTuple):
    """One pair, fitted several times."""

    shares: pd.DataFrame
    """One row for each seed of g and subset: ``repeat`` (1: the fit's own seed), ``subset``, parts
    and ``cross`` in units of Var(x*)."""
    restart: Mapping[str, Any]
    """``gain``: share of its validation MSE that g gains by continued training; ``epochs``: number
    of additional epochs. Empty under ``released``, which ends by its schedule."""


def repeat(own: FitProduct, out: Path, repeats: int) -> Repeats:
    """Fit ``own``, whose files are in ``out``, with other seeds, and continue training its g.

    The result is in ``out/repeats/NAME``; with the same key it is not made again.
    """
    fits = [make_fitted(own, out)]
    fits += [make_fitted(varied(own, one, out), out) for one in reseeded(repeats)]
    cards, restart = [fit.card for fit in fits], {}
    if own.settings.preset != "released":
        on = make_fitted(varied(own, restarted(own.settings, cards[0]), out), out).card
        before, after = (card["chosen"]["validation_mse"] for card in (cards[0], on))
        # a g without error cannot gain
        gain = 1 - after / before if before else 0.0
        restart = {"gain": gain, "epochs": on["epochs"]}
        cards.append(on)
    inputs = {card["fit"]: card["key"] for card in cards}
    key = product_key({}, inputs, "kc.consistency.repeats")
    with Product(out / "repeats" / own.name, key, [REPEATS]) as product:
        if not product.is_done():
            product.start()
            names = (*component_names(own.settings.order), "cross")
            rows = [
                {"repeat": number, "subset": subset, **fit.shares(subset, names)}
                for number, fit in enumerate(fits, start=1)
                for subset in own.subsets
            ]
            text = pd.DataFrame(rows).to_csv(index=False)
            write_bytes_atomic(product.folder / REPEATS, text.encode())
            product.finish({"fit": own.name, "of": own.key, "restart": restart}, [REPEATS])
    return Repeats(pd.read_csv(product.folder / REPEATS), restart)
