"""Make the files of a fit once: ``fits/NAME/`` and, if requested, the store of components."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from kc.consistency.component_store import Kept
from kc.consistency.data import FeaturePair
from kc.consistency.evaluate import evaluate, write_variances
from kc.consistency.fit import FitRun, fit_pair
from kc.consistency.net import ConsistencyNet, positions_of
from kc.consistency.optimise import Choose
from kc.consistency.order import Rows
from kc.consistency.result import FitResult, linear_shares
from kc.consistency.resume import STATE, Resume
from kc.consistency.saved import FILES, load_fit, save_fit
from kc.consistency.variance import Moments
from kc.provenance import versions
from kc.settings.reconstruction import Consistency
from kc.store.product import Product

LOG = logging.getLogger(__name__)

Tell = Callable[[FitResult, Mapping[str, Moments]], dict[str, Any]]
"""Return additional entries of the card, from a fit and the moments of each subset."""


@dataclass(frozen=True)
class FitProduct:
    """What the files of one fit are made from."""

    name: str
    key: str
    settings: Consistency
    seed: int
    """Seed of the fit."""
    subsets: Mapping[str, Rows]
    """Rows to evaluate; g is fitted on those of ``train``."""
    pair: Callable[[], FeaturePair]
    """Opens both layers; called only if something must be made."""
    tell: Tell
    kept: Kept | None = None
    """The components to keep."""
    raw_penalty: float = 0.1
    """Lambda on raw features; the penalty ``raw_equivalent`` is this divided by Var(x*)."""
    initial: Callable[[], ConsistencyNet] | None = None
    """Opens the network to train from."""
    choose: Choose = "validation"
    """See :func:`kc.consistency.fit.fit`."""
    held: Rows | None = None
    """The validation cut; None: a random one by the seed."""


def make_fit(about: FitProduct, out: Path) -> Path:
    """Fit, evaluate and write ``out/fits/NAME``; return that folder.

    A complete fit with the same key is not made again; missing components are made from it. An
    interrupted fit resumes between two epochs.

    Raises
    ------
    FeatureError
        The features cannot be used for g.
    """
    with Product(out / "fits" / about.name, about.key, FILES) as product:
        if not product.is_done():
            _make(about, product)
        elif about.kept is not None and not about.kept.is_done():
            pair = about.pair()
            evaluate(load_fit(product.folder, pair.device), pair, {}, about.kept)
    return product.folder


def _make(about: FitProduct, product: Product) -> None:
    """Fit, evaluate and write; write the card last."""
    begun = time.monotonic()
    product.start()
    pair, train = about.pair(), about.subsets["train"]
    settings = about.settings.model_copy(update={"penalty": _penalty(about, pair)})
    initial = None if about.initial is None else about.initial()
    resume = Resume(product.folder / STATE)
    run = FitRun(
        train, about.seed, choose=about.choose, initial=initial, resume=resume, held=about.held
    )
    result = fit_pair(pair, settings, run)
    files = save_fit(result, product.folder)
    found = evaluate(result, pair, about.subsets, about.kept)
    files += write_variances(found, result, product.folder)
    card = _card(about.name, result, pair) | about.tell(result, found)
    if result.linear is not None:
        card["linear"] = linear_shares(result, result.linear, pair, about.subsets)
    product.finish(card | {"seconds": round(time.monotonic() - begun, 2)}, files)


def _penalty(about: FitProduct, pair: FeaturePair) -> float:
    """Return lambda as a number."""
    penalty = about.settings.penalty
    if penalty != "raw_equivalent":
        return float(penalty)
    found = Moments()
    for _, y in pair.in_order(about.subsets["train"]):
        found.add(y[None], 1 if y.ndim == 4 else -1)
    return about.raw_penalty / float(found.global_variance[0])


def _card(name: str, result: FitResult, pair: FeaturePair) -> dict[str, Any]:
    """Return the card's entries on the fit, its end, and its positions per weight."""
    net = result.net
    return {
        "fit": name,
        "resized": net.on_maps and net.source_shape[1:] != net.target_shape[1:],
        "preset": result.about.preset,
        "penalty": result.about.penalty,
        "gain": net.gain,
        "centring": result.about.centring,
        "settled": result.settled,
        "p": net.gains.tolist(),
        "chosen": result.chosen.line(),
        "epochs": int(result.history["epoch"].max()),
        "positions_per_weight": len(result.train)
        * positions_of(net.target_shape)
        / net.weights_per_channel,
        "rank": net.rank,
        "normalisation": {
            name: value.flatten().tolist() if isinstance(value, torch.Tensor) else value
            for name, value in result.normalisation._asdict().items()
        },
        "seed": result.about.seed,
        "device": str(pair.device),
        "versions": versions(),
    }
