"""Titrate one layer: measure differences of known size that are made from its feature."""

import logging
import time
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from kc.consistency.data import FeaturePair, pair_up
from kc.consistency.fit_product import FitProduct
from kc.consistency.ladder import WIDEST, field_of, linear_rung
from kc.consistency.net import inputs_of
from kc.consistency.order import Rows
from kc.consistency.rungs import make_fitted
from kc.consistency.saved import load_fit
from kc.images.rows import rows_in
from kc.names import SUBSETS
from kc.plans.records.known_difference import titration_fits
from kc.provenance import product_key
from kc.runtime import derive_seed, pick_device
from kc.settings.reconstruction import Consistency
from kc.similarity.measures import Measuring
from kc.similarity.titration import KnownPair, centred, differences_of, with_added, with_deleted
from kc.store import open_store
from kc.store.files import write_bytes_atomic
from kc.store.product import Product

LOG = logging.getLogger(__name__)
TITRATION = "titration.csv"
RAW = 0.1
"""Lambda of the preset ``released``."""


class Titration(NamedTuple):
    """What is titrated."""

    name: str
    """Name of its folder."""
    network: str
    node: str
    added: tuple[float, ...]
    """Shares of variance from other images."""
    deleted: tuple[int, ...]
    """Numbers of channels."""


def titrate(about: Titration, settings: Consistency, results: Path, device: str = "auto") -> None:
    """Fit g to each made pair and measure it, into ``RESULTS/titrations/NAME/titration.csv``.

    Columns: part (``added``, ``deleted``), amount, truth, upper (shares of Var(x*)), g (share of
    x^Delta), linear, linear_field (what the linear map of g's field misses; only ``deleted``), cka
    (1 - CKA), settled. The fits are in ``RESULTS/fits``; complete ones are not made again.

    Raises
    ------
    StoreError
        The store is missing or damaged.
    FeatureError
        No channel would be left, or the features cannot be used for g.
    """
    store = open_store(results / "activations" / f"{about.network}.json")
    key = product_key(
        {"about": about._asdict(), "fit": settings}, {"store": store.digest}, "kc.steps.titrations"
    )
    with Product(results / "titrations" / about.name, key, [TITRATION]) as product:
        if product.is_done():
            return
        begun = time.monotonic()
        product.start()
        subsets: dict[str, Rows] = {name: rows_in(store.rows, name) for name in SUBSETS}
        feature = centred(store[about.node][:], subsets["train"])
        bench = _Bench(feature, subsets, _usual(settings), results, pick_device(device), key)
        frame = pd.DataFrame(bench.rows(about))
        write_bytes_atomic(product.folder / TITRATION, frame.to_csv(index=False).encode())
        seconds = round(time.monotonic() - begun, 2)
        made = {"network": about.network, "node": about.node, "store": store.digest}
        product.finish(made | {"seconds": seconds, "device": str(bench.device)}, [TITRATION])


class _Bench(NamedTuple):
    feature: np.ndarray
    subsets: dict[str, Rows]
    settings: Consistency
    results: Path
    device: torch.device
    key: str

    def rows(self, about: Titration) -> list[dict[str, Any]]:
        """Return a row for each level."""
        names = iter(titration_fits(about.name, about.added, about.deleted))
        found = []
        for share in about.added:
            seed = derive_seed("titration", about.name, share)
            found.append(self._measured(next(names), self._added(share, seed)))
        for count in about.deleted:
            seed = derive_seed("titration", about.name, count)
            pair = with_deleted(self.feature, count, self.subsets["test"], seed)
            found.append(self._measured(next(names), pair))
        return found

    def _added(self, share: float, seed: int) -> KnownPair:
        return with_added(self.feature, share, self.subsets, seed)

    def _measured(self, name: str, known: KnownPair) -> dict[str, Any]:
        pair = pair_up(known.source, known.target, self.device)
        fitted = make_fitted(self._product(name, known, pair), self.results)
        row = {"part": known.part, "amount": known.amount, "truth": known.truth}
        row |= {"upper": known.upper, "g": fitted.share("test")}
        row |= differences_of(known.source, known.target, self.subsets, self.device, self._how())
        row |= {"linear_field": self._linear_of_field(name, known, pair)}
        LOG.info("%s: true share %.3f, g %.3f", name, known.truth, row["g"])
        return row | {"settled": fitted.card["settled"]}

    def _product(self, name: str, known: KnownPair, pair: FeaturePair) -> FitProduct:
        about = {"name": name, "fit": self.settings, "part": known.part, "amount": known.amount}
        return FitProduct(
            name,
            product_key(about, {"titration": self.key}, "kc.steps.titrations"),
            self.settings,
            derive_seed("fit", name),
            self.subsets,
            lambda: pair,
            partial(_told, known),
        )

    def _linear_of_field(self, name: str, known: KnownPair, pair: FeaturePair) -> float:
        """Return what the linear map of g's field misses; NaN if it is not needed or too wide."""
        settings = self.settings
        field = field_of(settings.order, settings.kernel_size, pair.target_shape)
        if known.part == "added" or inputs_of(field, pair.source_shape) > WIDEST:
            return float("nan")
        result = load_fit(self.results / "fits" / name, self.device)
        test = {"test": self.subsets["test"]}
        return linear_rung(result, pair, test, field, settings)["test"]

    def _how(self) -> Measuring:
        settings = self.settings
        return Measuring(
            kernel_size=settings.kernel_size,
            memory_gb=settings.memory_gb,
            centring=settings.centring,
        )


def _usual(settings: Consistency) -> Consistency:
    """Return settings with lambda as the preset has it for raw features of most networks."""
    if settings.preset == "released":
        return settings.model_copy(update={"penalty": RAW})
    return settings


def _told(known: KnownPair, *_: Any) -> dict[str, Any]:
    return {"titration": {"part": known.part, "amount": known.amount}}
