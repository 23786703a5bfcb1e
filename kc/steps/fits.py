"""Fit g for all layers of a pair of networks, both ways."""

from collections.abc import Sequence
from pathlib import Path

from kc.consistency.products import fit_pairs
from kc.plans.products import FitPlan, networks_of
from kc.runtime import pick_device
from kc.settings.reconstruction import Consistency


def fit_layers(
    fits: Sequence[FitPlan],
    settings: Consistency,
    results: Path,
    device: str = "auto",
    root: str = "",
) -> None:
    """Fit each plan from ``RESULTS/activations`` into ``RESULTS/fits`` and ``components``.

    With a ``root`` the component stores lie there.

    Raises
    ------
    StoreError
        A store that is missing or damaged, or two of different images.
    FeatureError
        Features g cannot work with.
    """
    names = [network.name for network in networks_of(fits)]
    stores = {name: results / "activations" / f"{name}.json" for name in names}
    fit_pairs(fits, stores, settings, 0, results, pick_device(device), root)
