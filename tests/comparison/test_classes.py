import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from kc.cli.main import app
from kc.comparison import CompareSettings, classes, compare, read_network
from kc.consistency.decompose import decompose, stacked
from kc.consistency.saved import load_fit
from kc.errors import ImageError
from kc.settings.feature_maps import Activations
from kc.settings.reconstruction import Consistency, Optimiser
from kc.store import open_store
from tests.comparison.noise import write

SETTINGS = CompareSettings(
    size=16,
    labels=True,
    activations=Activations(shard_rows=32, batch_size=32),
    consistency=Consistency(optimiser=Optimiser(epochs=2)),
)
NETS = """
import torch
from torch import nn


def see(*kernels):
    conv = nn.Conv2d(3, len(kernels), 1, bias=False)
    conv.weight.data = torch.tensor(kernels)[:, :, None, None]
    return nn.Sequential(conv)


def grey():
    return see([1.0, 1.0, 1.0], [-1.0, -1.0, -1.0])


def hue():
    return see([1.0, 1.0, 1.0], [1.0, -1.0, 0.0])
"""


@pytest.fixture
def seeing(tmp_path):
    """Networks that see brightness alone, or red against green too."""
    file = tmp_path / "seeing.py"
    file.write_text(NETS)
    return [read_network(f"{file}:{name}") for name in ("grey", "hue")]


@pytest.fixture
def pictures(tmp_path):
    """A class of grey noise and one of coloured noise."""
    root = write(tmp_path / "photos", *(f"colour/{k:03d}.png" for k in range(60)))
    (root / "grey").mkdir()
    for k in range(40):
        pixels = np.random.default_rng(1000 + k).integers(0, 256, (16, 16), dtype=np.uint8)
        Image.fromarray(pixels).convert("RGB").save(root / "grey" / f"{k:03d}.png")
    return root


def missing(found, target):
    return found.classes[found.classes["target"] == target].set_index("class")


def test_the_class_the_other_network_cannot_see_has_the_largest_share(seeing, pictures, tmp_path):
    grey, hue = seeing
    found = compare(grey, hue, "0", "0", pictures, tmp_path / "out", SETTINGS)
    of_hue = missing(found, "b")
    assert list(of_hue.index) == ["colour", "grey"]
    assert of_hue["xdelta"]["grey"] < 0.05 < 0.3 < of_hue["xdelta"]["colour"]
    assert (of_hue["low"] < of_hue["xdelta"]).all()
    assert (of_hue["xdelta"] < of_hue["high"]).all()
    assert of_hue["high"]["grey"] < of_hue["low"]["colour"]
    # the network that sees both misses nothing of either class
    assert missing(found, "a")["xdelta"].max() < 0.01


def test_classes_add_up_to_the_share_of_all_images(seeing, pictures, tmp_path):
    found = compare(*seeing, "0", "0", pictures, tmp_path / "out", SETTINGS)
    shares = found.shares[found.shares["subset"] == "test"].set_index("target")
    for target in "ab":
        of = missing(found, target)
        assert of["weight"].sum() == pytest.approx(1)
        assert of["images"].sum() == shares["images"][target]
        whole = (of["xdelta"] * of["weight"]).sum()
        assert whole == pytest.approx(shares["xdelta"][target], rel=1e-5)


@pytest.mark.parametrize("centring", ["channel", "layer"])
def test_shares_equal_the_plain_formula(seeing, pictures, tmp_path, centring):
    out = tmp_path / "out"
    consistency = SETTINGS.consistency.model_copy(update={"centring": centring})
    settings = SETTINGS.model_copy(update={"consistency": consistency})
    found = compare(*seeing, "0", "0", pictures, out, settings)
    x, y = (open_store(out / "activations" / f"{side}.zarr")["0"] for side in "ab")
    result = load_fit(out / "fits" / "b-from-a")
    source, target = (torch.from_numpy(np.asarray(side[:])).float() for side in (x, y))
    parts = stacked(decompose(result.net, result.normalisation, source, target), target)
    tested = (y.rows["subset"] == "test").to_numpy()
    delta, whole = parts[-2:].double().numpy()[:, tested]
    names = found.images.rows["class_name"].to_numpy()[tested]
    over = (0, 2, 3) if centring == "channel" else None
    delta, whole = (part - part.mean(over, keepdims=True) for part in (delta, whole))
    of_classes = missing(found, "b")
    for label, share in of_classes["xdelta"].items():
        inside = names == label
        above = (delta[inside] ** 2).sum()
        assert share == pytest.approx(above / (whole[inside] ** 2).sum(), rel=1e-5)
    shares = found.shares[found.shares["subset"] == "test"].set_index("target")
    mean = (of_classes["xdelta"] * of_classes["weight"]).sum()
    assert mean == pytest.approx(shares["xdelta"]["b"], rel=1e-5)


def test_a_second_run_reads_no_image_again(seeing, pictures, tmp_path, monkeypatch):
    (pictures / "grey").rename(pictures / "gr\rey")  # kept in a csv
    first = compare(*seeing, "0", "0", pictures, tmp_path / "out", SETTINGS)
    assert set(first.classes["class"]) == {"gr\rey", "colour"}
    monkeypatch.setattr(classes, "decompose", lambda *_: pytest.fail("decomposed again"))
    again = compare(*seeing, "0", "0", pictures, tmp_path / "out", SETTINGS)
    pd.testing.assert_frame_equal(first.classes, again.classes)


def test_pictures_without_classes_are_refused(seeing, photos, tmp_path):
    with pytest.raises(ImageError, match=r"--labels asks for pictures in class folders .* 1 \(unl"):
        compare(*seeing, "0", "0", photos, tmp_path / "out", SETTINGS)
    # before anything is recorded
    assert not (tmp_path / "out" / "activations").exists()


def run(*arguments):
    return CliRunner().invoke(app, ["compare", *map(str, arguments)])


@pytest.mark.long
def test_the_command_writes_the_table_and_shows_it(seeing, pictures, tmp_path):
    file, out = tmp_path / "seeing.py", tmp_path / "out"
    sides = ("--a", f"{file}:grey", "--b", f"{file}:hue", "--layer-a", "0", "--layer-b", "0")
    found = run(*sides, "--labels", "--images", pictures, "--size", 16, "--epochs", 2, "--out", out)
    assert found.exit_code == 0, found.output
    markdown = (out / "tables" / "classes.md").read_text()
    assert markdown in found.output
    table = pd.read_csv(out / "tables" / "classes.csv")
    assert list(table.columns) == [
        *("target", "source", "class", "images", "xdelta", "low", "high", "weight")
    ]
    assert "What is missing of each class" in (out / "index.html").read_text()


def test_classes_with_many_layers_or_only_features_are_refused(nets, photos, tmp_path):
    spec, out = f"{nets}:tiny", tmp_path / "out"
    pair = ("--a", spec, "--b", spec, "--labels", "--images", photos, "--out", out)
    found = run(*pair, "--layers", "conv1,conv3")
    assert found.exit_code == 2
    assert "labels needs one layer of each side" in found.output
    file = tmp_path / "x.npy"
    np.save(file, np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32))
    found = run("--a", file, "--b", file, "--labels", "--out", out)
    assert found.exit_code == 2
    assert "only features were given" in found.output
