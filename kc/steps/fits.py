"""Fit g for all layers of a pair of networks, both ways."""

from collections.abc import Sequence
from pathlib import Path

from kc.consistency.products import fit_pairs
from kc.plans.products import FitPlan, networks_of
from kc.runtime import pick_device
from kc.settings.reconstruction import Consistency
from kc.store.part import Destination


def fit_layers(
    fits: Sequence[FitPlan],
    settings: Consistency,
    results: Path,
    device: str = "auto",
    root: str = "",
) -> None:
    """Fit each plan from ``RESULTS/activations`` into ``RESULTS/fits`` and ``components``.

    With a ``root``, the component stores are written there.

    Raises
    ------
    StoreError
        A store is missing or damaged, or two have different images.
    FeatureError
        g cannot use the features.
    """
    names = [network.name for network in networks_of(fits)]
    stores = {name: results / "activations" / f"{name}.json" for name in names}
    fit_pairs(fits, stores, settings, 0, Destination(results, root), pick_device(device))
