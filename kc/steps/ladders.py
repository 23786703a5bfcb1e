"""Measure variants of some fits: linear maps, lower orders, other lambda, other seeds of g."""

from collections.abc import Sequence
from pathlib import Path

from kc.consistency.products import HeldLayers, product_of
from kc.consistency.repeats import repeat
from kc.consistency.rungs import climb, possible_fields
from kc.plans.products import FitPlan, networks_of
from kc.plans.variants import orders_and_path
from kc.runtime import pick_device
from kc.settings.reconstruction import Consistency
from kc.store import open_store
from kc.store.part import Destination


def climb_fits(
    fits: Sequence[FitPlan],
    repeats: int,
    settings: Consistency,
    results: Path,
    device: str = "auto",
) -> None:
    """Measure the ladder and the repeats of fits in ``RESULTS/fits``.

    Parameters
    ----------
    settings
        Settings of the fits.

    Raises
    ------
    StoreError
        A store is missing or damaged.
    """
    names = [network.name for network in networks_of(fits)]
    stores = {name: open_store(results / "activations" / f"{name}.json") for name in names}
    layers, at = HeldLayers(stores, settings.memory_gb), pick_device(device)
    # a ladder does not need the components that fits keep
    bare = settings.model_copy(update={"components": "none"})
    for plan in fits:
        own = product_of(plan, layers, bare, 0, Destination.of(results), at)
        source, target = (
            tuple(stores[network.name][node].shape[1:])
            for network, node in (
                (plan.source, plan.source_node),
                (plan.target, plan.target_node),
            )
        )
        fields, left_out = possible_fields(settings, source, target)
        climb(own, results, fields, orders_and_path(own.settings), left_out)
        repeat(own, results, repeats)
