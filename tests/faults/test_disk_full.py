"""On a really full disk: an error names the path, nothing is damaged, and a rerun continues."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

from kc.activations import record_networks
from kc.consistency.products import fit_pairs
from kc.errors import StoreError
from kc.networks import build
from kc.networks.checkpoint import save_weights
from kc.plans.products import FitPlan, NetworkPlan
from kc.report.figures import write_figure
from kc.report.tables import TableText, write_table
from kc.settings.feature_maps import Activations
from kc.settings.recipes import Network
from kc.settings.reconstruction import Consistency, Optimiser
from kc.store import ArraySpec, StoreContent, StoreWriter, open_store
from kc.store.product import Product
from tests.faults.compare import believed_and_wrong, differences, files

CPU = torch.device("cpu")
COUNT, NODE = 64, "layer1.1.add"
A, B = (NetworkPlan("birds", "resnet18", seed) for seed in (0, 1))
PLAN = FitPlan(A, B, NODE, NODE, keep=True)


@contextmanager
def mounted(room: Path, megabytes: int) -> Iterator[Path]:
    """Mount a small disk, and unmount it at the end."""
    folder = room / "disk"
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={megabytes}m"]
    try:
        done = subprocess.run(
            ["mount", *options, "kc-faults", str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if done.returncode:
        pytest.skip(f"cannot mount a disk of a given size here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of 4 MB."""
    with mounted(tmp_path, megabytes=4) as folder:
        yield folder


def leave(disk: Path, free: int) -> Path:
    """Fill a disk except so many bytes, and return the file to remove to make room."""
    about = os.statvfs(disk)
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, about.f_bavail * about.f_frsize - free)
    return ballast


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write images and two networks, and their activations and a fit, undisturbed."""
    root = tmp_path_factory.mktemp("given")
    spec = ArraySpec("image", ("image", "channel", "y", "x"), (COUNT, 3, 32, 32), "uint8")
    rows = pd.DataFrame({"image_id": [f"i{n:02d}" for n in range(COUNT)], "label": 0})
    rows["subset"] = ["train", "train", "test"] * (COUNT // 3) + ["train"] * (COUNT % 3)
    pixels = torch.randint(0, 255, (COUNT, 3, 32, 32), dtype=torch.uint8)
    with StoreWriter(root / "images.zarr", "k", StoreContent([spec], rows, COUNT)) as writer:
        writer.write(0, {"image": pixels.numpy()})
        writer.finish()
    shape = Network(width=0.25)
    for plan in (A, B):
        with Product(root / "networks" / plan.name, "k") as product:
            product.start()
            save_weights(build("resnet18", 4, shape, plan.seed), product.folder / "w")
            (product.folder / "w").rename(product.folder / "weights.safetensors")
            card = {"architecture": "resnet18", "classes": 4}
            card["shape"] = shape.model_dump(mode="json")
            product.finish(card, ["weights.safetensors"])
    before = Path.cwd()
    whole = root / "whole"
    whole.mkdir()
    os.chdir(whole)  # products contain paths, so they are relative here
    record(root)
    fit(Path("activations"))
    os.chdir(before)
    return root


def record(root: Path) -> None:
    networks = {plan.name: root / "networks" / plan.name for plan in (A, B)}
    images = open_store(root / "images.zarr")
    settings = Activations(shard_rows=8, batch_size=8)
    record_networks(networks, [NODE], images, settings, Path("activations"), CPU)


def fit(activations: Path) -> None:
    stores = {plan.name: activations / f"{plan.name}.json" for plan in (A, B)}
    settings = Consistency(order=1, optimiser=Optimiser(epochs=2, batch_size=16))
    fit_pairs([PLAN], stores, settings, 0, Path(), CPU)


@pytest.mark.parametrize("free", [0, 8_192, 40_000, 150_000])
def test_recording_on_a_full_disk(given: Path, disk: Path, monkeypatch, free: int):
    monkeypatch.chdir(disk)
    ballast = leave(disk, free)
    with pytest.raises(StoreError, match=r"activations/birds-resnet18.*no space left on the disk"):
        record(given)
    expected = files(given / "whole" / "activations")
    if Path("activations").exists():
        assert believed_and_wrong(Path("activations"), expected) == []
    ballast.unlink()
    record(given)
    assert differences(files(Path("activations")), expected) == []


@pytest.mark.parametrize("free", [0, 8_192, 30_000, 100_000])
def test_fitting_on_a_full_disk(given: Path, disk: Path, monkeypatch, free: int):
    monkeypatch.chdir(disk)
    monkeypatch.setattr("kc.consistency.resume.EVERY", 0.0)
    ballast = leave(disk, free)
    with pytest.raises(StoreError, match=r"(fits|components)/.*no space left on the disk"):
        fit(given / "whole" / "activations")
    for name in ("fits", "components"):
        if Path(name).exists():
            assert believed_and_wrong(Path(name), files(given / "whole" / name)) == []
    ballast.unlink()
    fit(given / "whole" / "activations")
    for name in ("fits", "components"):
        assert differences(files(Path(name)), files(given / "whole" / name)) == [], name


def test_tables_and_figures_on_a_full_disk(disk: Path):
    frame = pd.DataFrame({"share": [0.25, 0.5] * 400})

    def write(about: pd.DataFrame) -> None:
        write_table(
            about, disk / "t" / "table", TableText(title="T", caption="", notes=[]), provenance={}
        )
        write_figure(Figure(figsize=(2, 2)), disk / "t" / "figure")

    write(frame)
    before = files(disk / "t")
    ballast = leave(disk, 4_096)
    with pytest.raises(StoreError, match=r"t/table\.csv: no space left on the disk"):
        write(frame / 2)
    assert files(disk / "t") == before
    ballast.unlink()
    write(frame / 2)
    assert differences(files(disk / "t"), before) == [
        *("table.csv", "table.json", "table.md", "table.tex")  # the provenance has their digests
    ]
