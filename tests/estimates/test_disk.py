"""The room a run needs: a small plan computed by hand."""

import shutil
from collections import namedtuple

import pytest

from kc.errors import RoomError
from kc.estimates.disk import peak, refuse_full_disk
from kc.estimates.runs import estimate, store_bytes
from kc.plans.products import networks_of
from kc.plans.studies import plan_of
from kc.settings.load import load_settings

RAW = {
    "jobs": "network",
    "datasets": {"birds": {"size": 64, "generated": {"classes": 3, "images_per_class": 30}}},
    "networks": {"resnet34": {"width": 0.25, "small_input": True}},
    "activations": {"shard_rows": 32},
    "compression": {
        "architecture": "resnet34",
        "layers": ["last_conv"],
        "seeds": [0],
        "removed": [0.5, 0.8, 0.9],
    },
}
CHANNELS = 256 // 4
STORE = 96 * CHANNELS * 4 * 4 * 2  # 90 images in 3 shards of 32, maps of 4 x 4, float16


def planned(**storage):
    settings = load_settings(RAW | {"storage": storage})
    return settings, {"compression": plan_of(settings, "compression")}


def test_bytes_of_stores_equal_those_counted_by_hand():
    settings, plans = planned()
    sizes = store_bytes(settings, plans.values())
    assert {size for (kind, _), size in sizes.items() if kind == "activations"} == {STORE}
    # the most pruned one's components: x0, x1, x2, xdelta of 40 % of 90 images
    kept = [size for (kind, _), size in sizes.items() if kind == "components"]
    assert kept == [36 * CHANNELS * 4 * 4 * 2 * 4]


def test_the_stores_of_the_original_and_one_pruned_network_exist_at_a_time():
    settings, plans = planned()
    everything = int(estimate(settings, plans.values())["bytes"].sum())
    kept = peak(settings, plans, ())
    assert (kept.total, kept.stores) == (everything, 0)
    # four stores in all; each pruned one is dropped after its only fit, the original last
    room = peak(settings, plans, ["activations"])
    assert room.stores == 2 * STORE
    assert room.total == everything - 2 * STORE
    assert room.when.startswith("record_birds-resnet34-seed0-pruned")


def test_components_are_kept_until_the_study_and_the_page_are_done():
    settings, plans = planned()
    component = 36 * CHANNELS * 4 * 4 * 2 * 4
    room = peak(settings, plans, ["activations", "components"])
    # 0.9 is fitted last (by name): both its stores and what is kept of the fit
    assert room.stores == 2 * STORE + component
    assert room.when.startswith("fit_birds-resnet34-seed0--birds-resnet34-seed0-pruned90")
    alone = peak(settings, plans, ["components"])
    assert alone.stores == component


def test_stores_that_a_study_reads_are_kept_until_it_is_done():
    raw = RAW | {"baselines": {"studies": ["compression"]}}
    settings = load_settings(raw)
    plans = {name: plan_of(settings, name) for name in ("compression", "baselines")}
    assert peak(settings, plans, ["activations"]).stores == 4 * STORE


def test_a_run_that_does_not_fit_is_refused_unless_the_check_is_off(tmp_path, monkeypatch):
    settings, plans = planned()
    settings = settings.model_copy(update={"results": tmp_path / "none" / "results"})
    needed = peak(settings, plans, ()).total
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(needed))
    assert "are free" in refuse_full_disk(settings, plans)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(needed - 1))
    with pytest.raises(RoomError, match=r"1 B too little. Fix: .*check_disk: false"):
        refuse_full_disk(settings, plans)
    store = settings.results / f"activations/{networks_of(plans['compression'].fits)[0].name}.zarr"
    for name in ("old/made", "activations/old.zarr/c", "logs/made"):
        other = settings.results / name
        other.parent.mkdir(parents=True, exist_ok=True)
        other.write_bytes(b"123")  # not a part of the run, so it does not count
    with pytest.raises(RoomError, match="0 B of it exist"):
        refuse_full_disk(settings, plans)
    store.mkdir()
    (store / "shard").write_bytes(b"1")
    assert "1 B of it exist" in refuse_full_disk(settings, plans)
    shutil.rmtree(settings.results)
    dropping, _ = planned(drop=["activations"])
    refuse_full_disk(dropping.model_copy(update={"results": settings.results}), plans)
    told, _ = planned(check_disk=False)
    refuse_full_disk(told.model_copy(update={"results": settings.results}), plans)
    away, _ = planned(root="s3://bucket/kc")
    refuse_full_disk(away.model_copy(update={"results": settings.results}), plans)
