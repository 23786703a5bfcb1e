"""Two published networks on photographs: weights and normalisation are correct."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from kc.comparison import CompareSettings, read_network
from kc.comparison.forms import Form
from kc.comparison.layers import tap
from kc.comparison.pictures import build_pictures
from kc.comparison.record import SeenPictures, record_layers
from kc.settings.preparation import Preparation
from kc.similarity.measures import MINIBATCH

NETS = Path(__file__).parent / "cifar_resnet.py"
CIFAR = CompareSettings(size=32)
"""They were trained with ImageNet's mean and standard deviation, not those of CIFAR."""


def shared() -> Path:
    """Return the folder of the real pictures."""
    folder = os.environ.get("KC_SHARED")
    if not folder:
        pytest.skip("KC_SHARED is not set: it names the folder of the real pictures")
    return Path(folder)


def weights_of(folder: Path, name: str) -> Path:
    found = next(folder.glob(f"{name}-*.th"), None)
    if found is None:
        pytest.skip(f"{folder} holds no {name}")
    return found


@pytest.mark.long
@pytest.mark.real
@pytest.mark.parametrize("name", ["resnet20", "resnet44"])
def test_the_cifar_networks_have_their_published_accuracy(tmp_path, name):
    folder = shared() / "data" / "cifar10"
    weights = weights_of(folder, name)
    images = build_pictures(folder / "cifar10_subset.tgz", tmp_path / "pictures.zarr", CIFAR)
    seen = SeenPictures(images, Preparation.of(None, CIFAR))
    logits = record_layers(
        tap(read_network(f"{NETS}:{name}", weights), ["linear"], 32), {"linear": [Form()]}, seen,
        CIFAR, tmp_path / "logits.zarr", torch.device("cpu"),
    )["linear"]  # fmt: skip
    test = (images.rows["subset"] == "test").to_numpy()
    right = logits[:].argmax(1) == images.rows["label"].to_numpy()
    assert 0.78 < right[test].mean() < 0.84


@pytest.mark.long
@pytest.mark.real
@pytest.mark.timeout(900)
def test_the_command_compares_both_networks_and_writes_the_page(tmp_path):
    """The numbers of docs/results.md hold, without the linear maps of wider fields.

    Processor seconds, since the machine that tests may have other work.
    """
    folder = shared() / "data" / "cifar10"
    weights = [weights_of(folder, name) for name in ("resnet20", "resnet44")]
    command = [
        *(sys.executable, "-c", "from kc.cli.main import app; app()", "compare"),
        *("--size", "32", "--no-ladder", "--out", tmp_path / "out"),
        *("--a", f"{NETS}:resnet20", "--weights-a", weights[0], "--layer-a", "layer3.2.add"),
        *("--b", f"{NETS}:resnet44", "--weights-b", weights[1], "--layer-b", "layer3.6.add"),
        *("--images", folder / "cifar10_subset.tgz"),
    ]
    begun = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "index.html").is_file()
    table = pd.read_csv(tmp_path / "out" / "tables" / "compare.csv").set_index(["target", "subset"])
    assert table.loc[("b", "test"), "xdelta"] == pytest.approx(0.429, abs=0.012)
    assert table.loc[("a", "test"), "xdelta"] == pytest.approx(0.443, abs=0.012)
    peers = pd.read_csv(tmp_path / "out" / "tables" / "peers.csv").set_index("target")
    assert peers.loc["b", "cka_positions"] == pytest.approx(0.502, abs=0.005)
    assert peers.loc["b", MINIBATCH] == pytest.approx(0.727, abs=0.005)
    # g sees neighbours and is not linear: it gives more than the best linear map of one position
    assert peers.loc["b", "linear_share_positions"] > table.loc[("b", "test"), "xdelta"] + 0.05
    assert used.ru_utime + used.ru_stime - begun.ru_utime - begun.ru_stime < 360
