"""Estimate the peak size of a run, and check that the disk has room for it."""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from kc.errors import RoomError
from kc.estimates.runs import estimate, store_bytes
from kc.names import spell_bytes
from kc.plans.products import FitPlan, NetworkPlan, batches, merged, networks_of, with_origins
from kc.plans.stores import PAGE, StoreUse, store_uses
from kc.plans.study import StudyPlan
from kc.settings.whole import Settings


class Room(NamedTuple):
    """Bytes of a run at its peak."""

    kept: int
    """Bytes that are never dropped: pictures, networks, fits, and kept stores."""
    stores: int
    """Largest size of the stores that exist at the same time before they are dropped."""
    when: str
    """The job that runs at the peak."""

    @property
    def total(self) -> int:
        """Bytes at the peak."""
        return self.kept + self.stores


def peak(settings: Settings, plans: Mapping[str, StudyPlan], drop: Iterable[str]) -> Room:
    """Find the peak of a run, with one job at a time in the order of the workflow's priorities.

    Products that are never dropped count from the beginning. Parallel jobs, and a scheduler
    that drops stores later, take more.

    Parameters
    ----------
    drop
        Which stores are dropped after their last use (``storage.drop``).
    """
    bytes_of = store_bytes(settings, plans.values())
    dropped = [use for use in store_uses(settings, plans) if use.kind in set(drop)]
    total = int(estimate(settings, plans.values())["bytes"].sum())
    kept = total - sum(bytes_of[use.kind, use.name] for use in dropped)
    lying: set[StoreUse] = set()
    done: set[str] = set()
    most = Room(kept, 0, "")
    for job, makes, readers in _jobs(settings, plans):
        lying |= {use for use in dropped if (use.kind, use.name) in makes}
        size = sum(bytes_of[use.kind, use.name] for use in lying)
        if size > most.stores:
            most = Room(kept, size, job)
        done |= readers
        lying = {use for use in lying if not {*use.pairs, *use.studies} <= done}
    return most


def refuse_full_disk(settings: Settings, plans: Mapping[str, StudyPlan]) -> str:
    """Describe how much room the run needs and how much is free.

    Products of the run that exist are subtracted; other files in the results folder are not.
    Stores under ``storage.root`` do not count: they are elsewhere.

    Raises
    ------
    RoomError
        Too little is free, and ``storage.check_disk`` is set.
    SettingsError
        The number of images is unknown.
    """
    bytes_of = store_bytes(settings, plans.values())
    by_kind = estimate(settings, plans.values()).set_index("product")["bytes"]
    small = {Path(kind): int(by_kind[kind]) for kind in ("images", "networks", "fits")}
    stores = {Path(kind, f"{name}.zarr"): size for (kind, name), size in bytes_of.items()}
    needed = peak(settings, plans, settings.storage.drop).total
    if settings.storage.root is not None:
        needed, stores = sum(small.values()), {}
    there = sum(
        min(size, _bytes_under(settings.results / path)) for path, size in (small | stores).items()
    )
    missing = max(0, needed - there)
    above = settings.results.absolute()
    free = shutil.disk_usage(next(p for p in (above, *above.parents) if p.exists())).free
    said = (
        f"{settings.results}: the run needs {spell_bytes(needed)} at its peak, "
        f"{spell_bytes(there)} of it exist, {spell_bytes(free)} are free"
    )
    if missing <= free or not settings.storage.check_disk:
        return said
    raise RoomError(
        f"{said}: {spell_bytes(missing - free)} too little. Fix: free space; or drop stores after "
        "their last use (storage.drop: [activations, components]), or keep them elsewhere "
        "(storage.root); or run fewer studies; or skip this check: "
        "--config 'storage={check_disk: false}'."
    )


def _bytes_under(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


type _Job = tuple[str, set[tuple[str, str]], set[str]]
"""Its name, the stores it makes (kind and name), and the readers that are then done."""


def _jobs(settings: Settings, plans: Mapping[str, StudyPlan]) -> list[_Job]:
    """Return recordings, fits, studies and the page, each as soon as its inputs exist."""
    fits = merged(fit for plan in plans.values() for fit in plan.fits)
    recorded = networks_of(fits)
    networks = with_origins(network for plan in plans.values() for network in plan.networks)
    pairs: dict[str, list[FitPlan]] = {}
    for fit in fits:
        pairs.setdefault(fit.pair, []).append(fit)
    kept = {use.name for use in store_uses(settings, plans) if use.kind == "components"}
    waiting, studies, ready = dict(pairs), dict(plans), set[NetworkPlan]()
    jobs: list[_Job] = []
    for batch, members in batches(networks, settings.grouping("recording")).items():
        made = {("activations", network.name) for network in members if network in recorded}
        ready |= set(members)
        if made:
            jobs.append((f"record_{batch}", made, set()))
        for pair in [p for p, some in waiting.items() if set(networks_of(some)) <= ready]:
            some = waiting.pop(pair)
            stores = {("components", fit.name) for fit in some if fit.name in kept}
            jobs.append((f"fit_{pair}", stores, {pair}))
        for study in [
            name
            for name, plan in studies.items()
            if set(plan.networks) <= ready and not {fit.pair for fit in plan.fits} & set(waiting)
        ]:
            studies.pop(study)
            jobs.append((study, set(), {study}))
    return [*jobs, (PAGE, set(), {PAGE})]
