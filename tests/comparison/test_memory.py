"""Batches are as large as free memory allows; stores do not depend on their size."""

from pathlib import Path

import numpy as np
import pytest
import torch

from kc.comparison import CompareSettings, OwnArrays, compare, compare_layers, memory, read_network
from kc.comparison.forms import Form
from kc.comparison.layers import tap
from kc.comparison.pictures import build_pictures
from kc.comparison.record import SeenPictures, record_layers
from kc.errors import FeatureError
from kc.settings.feature_maps import Activations
from kc.settings.preparation import Preparation
from kc.settings.reconstruction import Consistency, Optimiser

CPU = torch.device("cpu")


def test_a_batch_takes_a_part_of_what_is_free(monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda _: 4000)
    assert memory.batch_size(128, 100, CPU) == 10
    assert memory.batch_size(8, 100, CPU) == 8
    assert memory.batch_size(128, 10**9, CPU) == 1


def test_free_memory_is_a_number_of_this_machine():
    assert 1e6 < memory.free_bytes(CPU) < 1e14


def test_wider_networks_take_more(nets):
    narrow, wide = (tap(read_network(f"{nets}:{name}"), ["conv3"], 16) for name in ("tiny", "wide"))
    # conv1, relu, conv2, relu, conv3 of 4 channels, at least
    assert narrow.bytes_each >= 4 * (2 * 4 * 8 * 8 + 3 * 4 * 4 * 4)
    assert wide.bytes_each > narrow.bytes_each


def test_little_memory_makes_small_batches_of_the_same_store(nets, photos, tmp_path, monkeypatch):
    settings = CompareSettings(size=16, activations=Activations(shard_rows=32))
    images = build_pictures(photos, tmp_path / "pictures.zarr", settings)
    network = read_network(f"{nets}:tiny")
    sizes = []

    def record(out, free):
        tapped = tap(network, ["conv3"], 16)
        monkeypatch.setattr(memory, "free_bytes", lambda _: free)
        how = Preparation.of(None, settings)
        seen = SeenPictures(images, how)
        watched = tapped._replace(extract=lambda x: (sizes.append(len(x)), tapped.extract(x))[1])
        return record_layers(watched, {"conv3": [Form()]}, seen, settings, tmp_path / out, CPU)

    whole = record("a.zarr", 1e12)["conv3"][:]
    assert sizes == [32, 28]
    sizes.clear()
    small = record("b.zarr", 0)["conv3"][:]
    assert sizes == [1] * 60
    np.testing.assert_allclose(small, whole, atol=2e-3)
    sizes.clear()
    record("a.zarr", 0)  # it exists; less memory must not make it again
    assert sizes == []


@pytest.mark.parametrize(("width", "measured"), [(1000, 220), (2000, 860), (4000, 5_400)], ids=str)
def test_the_estimate_is_what_was_measured(width, measured):
    """MB of RSS above the start, of ``kc compare`` on 60 rows of both sides, one epoch."""
    found = memory.fit_bytes((width,), (width,), 36, Consistency(rank="auto")) / 1e6
    assert measured / 1.5 < found < 1.5 * measured


def test_the_memory_of_a_fit_grows_with_its_matrices():
    def taken(source, target, images=36, **settings):
        return memory.fit_bytes(source, target, images, Consistency(**settings))

    wide = taken((8000,), (8000,))
    assert wide == pytest.approx(64 * taken((1000,), (1000,)), rel=0.01)
    assert taken((8000,), (10,)) > 0.5 * wide > 20 * taken((10,), (8000,))
    # more rows than units: moments are units by units instead of rows by rows
    assert taken((1000,), (1000,), 100) < taken((1000,), (1000,), 5000)
    maps = [taken((256, 7, 7), (256, 7, 7), n) for n in (20, 2000)]
    assert maps[0] < 0.5 * maps[1]
    assert taken((512, 7, 7), (512, 7, 7), rank=64) < taken((512, 7, 7), (512, 7, 7), rank="full")
    assert taken((512,), (512,), order=4) > taken((512,), (512,), order=2)
    assert taken((512,), (512,), preset="released") < taken((512,), (512,))
    assert memory.linear_bytes((160, 4, 4), (160, 4, 4), 2000, 7) > 5 * memory.linear_bytes(
        (160, 4, 4), (160, 4, 4), 2000, 3
    )


def test_the_memory_of_a_fit_is_the_sum_of_its_parts():
    """By hand; 1.9 bytes are taken for each byte, 36 of 40 images are fitted, f64 is 8 bytes."""

    def taken(source, target, **settings):
        return memory.fit_bytes((source,), (target,), 40, Consistency(order=1, **settings))

    # W(0) 7 x 10 and W(1) 10 x 10, six float32 each
    assert taken(10, 7, preset="released") == int(1.9 * 4 * 6 * 170)
    # and a basis 10 x 10 of each; six matrices 10 x 10 and three 10 x 7 of the linear map
    assert taken(10, 7) == int(1.9 * (4 * (6 * 170 + 2 * 100) + 8 * (6 * 100 + 3 * 10 * 7)))
    # fewer rows than units: six matrices 36 x 36 of the linear map are less than six 90 x 90
    assert taken(90, 7) == int(
        1.9 * (4 * (6 * (630 + 8100) + 2 * 8100) + max(8 * 6 * 90**2, 8 * 6 * 36**2))
    )


def arrays(path: Path, **widths: int) -> OwnArrays:
    rng = np.random.default_rng(0)
    path.write_bytes(b"")
    made = {n: rng.normal(size=(60, d)).astype(np.float32) for n, d in widths.items()}
    return OwnArrays("x", made, path)


QUICK = CompareSettings(consistency=Consistency(order=1, optimiser=Optimiser(epochs=1)))


def test_fits_that_need_too_much_memory_are_refused_at_the_start(tmp_path, monkeypatch):
    side = arrays(tmp_path / "x", wide=300)
    monkeypatch.setattr(memory, "free_bytes", lambda _: 2_000_000)
    with pytest.raises(
        FeatureError,
        match=r"x, wide and x, wide: g from 300 to 300 takes about [\d.]+ MB of memory, 2 MB are f"
        r".*Fix: a layer of fewer units, .*numpy\.linalg\.svd",
    ):
        compare(side, side, out=tmp_path / "out", settings=QUICK)
    assert not (tmp_path / "out").exists()
    with pytest.raises(FeatureError, match=r"g from 64 x 8 x 8 to .*Fix: a smaller --rank, a lay"):
        memory.check_memory("x", [((64, 8, 8), (64, 8, 8))], 36, QUICK.consistency, CPU)


def test_the_fix_keeps_all_information_of_the_rows():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 300))
    u, s, _ = np.linalg.svd(x - x.mean(0), full_matrices=False)
    narrow = (u * s)[:, :1000]
    assert narrow.shape == (60, 60)
    np.testing.assert_allclose(narrow @ narrow.T, (x - x.mean(0)) @ (x - x.mean(0)).T, atol=1e-9)


def test_a_matrix_leaves_out_fits_that_need_too_much_memory(tmp_path, monkeypatch):
    side = arrays(tmp_path / "x", narrow=4, wide=300)
    monkeypatch.setattr(memory, "free_bytes", lambda _: 2_000_000)
    settings = QUICK.model_copy(update={"fits": "all"})
    found = compare_layers(side, side, out=tmp_path / "out", settings=settings)
    table = found.table.set_index(["layer_a", "layer_b"])
    assert table.loc[("narrow", "narrow"), "xdelta_b"] < 0.01
    assert np.isnan(table.loc[("wide", "wide"), "xdelta_b"])
    assert any("fits could not be made" in note and "of memory" in note for note in found.notes)


def test_limits_of_the_process_count(monkeypatch):
    used = memory.psutil.Process().memory_info().vms
    monkeypatch.setattr(memory.resource, "getrlimit", lambda _: (used + 10**6, -1))
    assert abs(memory.free_bytes(CPU) - 10**6) < 5 * 10**5
    monkeypatch.setattr(memory.resource, "getrlimit", lambda _: (1000, -1))
    assert memory.free_bytes(CPU) == 0


@pytest.mark.parametrize(
    ("line", "folder", "limit", "usage", "dropped"),
    [
        ("0::/job/step", "job", "memory.max", "memory.current", "inactive_file"),
        (
            *("4:memory:/job/step", "memory/job"),
            *("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ),
    ],
)
def test_limits_of_control_groups_count(tmp_path, line, folder, limit, usage, dropped):
    groups = tmp_path / "cgroup"
    groups.write_text(f"9:cpu:/\n{line}\n")
    inner = tmp_path / "fs" / folder / "step"
    inner.mkdir(parents=True)
    (inner / limit).write_text("max\n")  # the limit is the job's
    for file, text in ((limit, "5000\n"), (usage, "3000\n"), ("memory.stat", f"{dropped} 400\n")):
        (inner.parent / file).write_text(text)
    assert list(memory.left_to_groups(tmp_path / "fs", groups)) == [2400]
    assert list(memory.left_to_groups(tmp_path / "fs", tmp_path / "none")) == []
