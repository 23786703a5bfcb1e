import json
import os

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from kc.cli.main import app
from kc.comparison import read_network
from kc.similarity.measures import NAMES, Measuring, similarities
from kc.store import open_store
from kc.store.lock import lock

SMALL = ("--size", 16, "--epochs", 2)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def compared(nets, photos, out, *more):
    spec = f"{nets}:tiny"
    found = {"--a": spec, "--b": spec, "--layer-a": "conv3", "--layer-b": "conv3"}
    found |= {"--images": photos, "--out": out}
    found |= dict(zip(more[::2], more[1::2], strict=True))
    words = (word for pair in found.items() if pair[1] is not None for word in pair)
    return run("compare", *SMALL, *words)


def test_layers_lists_names_and_shapes(nets):
    found = run("layers", f"{nets}:tiny", "--size", 16)
    assert found.exit_code == 0, found.output
    assert "conv3  4 x 4 x 4" in found.output.splitlines()


@pytest.mark.full_figures
def test_compare_writes_tables_and_pictures(nets, photos, tmp_path):
    out = tmp_path / "out"
    found = compared(nets, photos, out)
    assert found.exit_code == 0, found.output
    table = pd.read_csv(out / "tables" / "compare.csv")
    assert list(table.columns) == [
        *("target", "source", "subset", "xdelta", "x0", "x1", "x2", "cross"),
        *("x0_linear", "x1_beyond", "x2_beyond"),
        *("settled", "images", "positions_per_weight", "p1", "p2"),
    ]
    assert len(table) == 4
    share = table["xdelta"][0]
    markdown = (out / "tables" / "compare.md").read_text()
    assert f"On test images, {100 * share:.1f} % of the variance of b's layer" in markdown
    # first the answer, then the table
    told = found.stdout.splitlines()
    assert told[0].startswith(f"On test images, {100 * share:.1f} % of the variance of b's layer")
    assert told[1].split()[:3] == ["target", "source", "subset"]
    assert told[2].split()[:4] == ["b", "a", "test", f"{share:.3f}"]
    assert "minus (0.485, 0.456, 0.406), over (0.229, 0.224, 0.225)" in markdown
    for text in (markdown, (out / "tables" / "compare.tex").read_text()):
        assert str(tmp_path) not in text
    origin = json.loads((out / "tables" / "compare.json").read_text())
    assert origin["networks"]["a"]["layer"] == "conv3"
    assert [fit["fit"] for fit in origin["fits"]] == ["b-from-a", "a-from-b"]
    for name in ("a-from-b", "b-from-a"):
        with Image.open(out / "figures" / f"{name}.png") as picture:
            assert min(picture.size) > 500
        assert (out / "figures" / f"{name}.svg").is_file()


@pytest.mark.long
def test_options_set_the_architecture_of_g(nets, photos, tmp_path):
    out = tmp_path / "out"
    given = ("--penalty", 0.03, "--gain", "free", "--layer-a", "mean", "--layer-b", "mean")
    assert compared(nets, photos, out, *given).exit_code == 0
    settings = json.loads((out / "tables" / "compare.json").read_text())["settings"]["consistency"]
    assert [settings[name] for name in ("penalty", "gain", "centring")] == [0.03, "free", "channel"]
    assert compared(nets, photos, out, *given, "--centring", "layer").exit_code == 0
    settings = json.loads((out / "tables" / "compare.json").read_text())["settings"]["consistency"]
    assert settings["centring"] == "layer"


def test_compare_writes_a_page_with_similarity_measures(nets, photos, tmp_path):
    out = tmp_path / "out"
    found = compared(nets, photos, out)
    assert f"page: {out / 'index.html'}" in found.output
    page = (out / "index.html").read_text()
    assert "of the variance of b&#39;s layer" in page
    assert (out / "index_files" / "views.js").is_file()
    peers = pd.read_csv(out / "tables" / "peers.csv")
    assert list(peers.columns) == ["target", "source", *NAMES]
    # 24 test images of 4 x 4 positions and 4 channels
    store = [open_store(out / "activations" / f"{x}.zarr") for x in "ab"]
    subsets = store[0].rows["subset"].to_numpy()
    rows = [np.flatnonzero(subsets == name) for name in ("train", "test")]
    how = Measuring(centring="channel")
    wanted = similarities(store[0]["conv3"], store[1]["conv3"], *rows, how=how)
    np.testing.assert_allclose(peers.loc[0, list(NAMES)].to_numpy(float), wanted, rtol=1e-9)
    assert peers["cka_positions"][0] == pytest.approx(peers["cka_positions"][1])
    assert 0 < peers["linear_share_positions"][0] != peers["linear_share_positions"][1]
    told = (out / "tables" / "peers.md").read_text()
    assert "What each measure shows: kc docs peers." in told
    assert "pwcca_flattened" in told.partition("Not computed")[2]


def test_layers_with_commas_are_compared_all_with_all(nets, photos, tmp_path):
    out, spec = tmp_path / "out", f"{nets}:tiny"
    found = run(
        *("compare", *SMALL, "--a", spec, "--b", spec, "--layers", "conv2,mean"),
        *("--images", photos, "--fits", "all", "--out", out),
    )
    assert found.exit_code == 0, found.output
    assert "8 fits (2 x 2 layers, both ways): about" in found.output
    assert len(pd.read_csv(out / "tables" / "matrix.csv")) == 4
    # a list of one side, one layer of the other
    found = run(
        *("compare", *SMALL, "--a", spec, "--b", spec, "--layer-a", "conv2,mean"),
        *("--layer-b", "mean", "--images", photos, "--out", out),
    )
    assert "2 x 1 layers, no fits of g (--fits best or all) on cpu" in found.output
    assert "xdelta_b" not in pd.read_csv(out / "tables" / "matrix.csv")
    found = run("compare", *SMALL, "--a", spec, "--b", spec, "--fits", "all", "--out", out)
    assert found.exit_code == 2
    assert "fits 'all' is for several layers (one layer of each side is always" in found.output


def test_features_need_no_pictures(tmp_path):
    values = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    np.save(tmp_path / "x.npy", values)
    both = ("--a", tmp_path / "x.npy", "--b", tmp_path / "x.npy")
    found = run("compare", *both, "--epochs", 1, "--out", tmp_path / "out")
    assert found.exit_code == 0, found.output
    assert pd.read_csv(tmp_path / "out" / "tables" / "compare.csv")["xdelta"].max() < 0.001
    found = run("compare", *both, "--weights-a", "w.pt", "--out", tmp_path / "out")
    assert found.exit_code == 2
    assert "SettingsError: weights_a 'w.pt': " in found.output


def test_device_and_threads_are_checked_before_any_file_is_read(tmp_path):
    both = ("--a", tmp_path / "none.npy", "--b", tmp_path / "none.npy", "--out", tmp_path / "out")
    for option, value in (("--device", "mps"), ("--threads", 0)):
        found = run("compare", *both, option, value)
        assert found.exit_code == 2
        assert "DeviceError" in found.output
        assert "none.npy" not in found.output


def test_threads_are_those_of_the_option_and_the_shares_stay_close(tmp_path):
    values = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    np.save(tmp_path / "x.npy", values)
    np.save(tmp_path / "y.npy", np.maximum(values, 0))
    both = ("--a", tmp_path / "x.npy", "--b", tmp_path / "y.npy", "--no-ladder", "--epochs", 1)
    shares = []
    try:
        for threads in range(1, 1 + min(2, len(os.sched_getaffinity(0)))):
            out = tmp_path / str(threads)
            found = run("compare", *both, "--threads", threads, "--out", out)
            assert found.exit_code == 0, found.output
            assert torch.get_num_threads() == threads
            shares.append(pd.read_csv(out / "tables" / "compare.csv")["xdelta"].to_numpy())
    finally:
        torch.set_num_threads(1)
    # g may end elsewhere, as with another seed
    np.testing.assert_allclose(shares[0], shares[-1], atol=0.02)


def test_a_folder_has_one_comparison_at_a_time(tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(60, 4)))
    both = ("--a", tmp_path / "x.npy", "--b", tmp_path / "x.npy", "--out", tmp_path / "out")
    held = lock(tmp_path / "out" / "kc.lock")
    found = run("compare", *both, "--epochs", 1)
    assert found.exit_code == 2, found.output
    assert "kc.lock: another process writes here" in found.output
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["kc.lock"]
    held.close()
    assert run("compare", *both, "--epochs", 1).exit_code == 0
    assert not (tmp_path / "out" / "kc.lock").exists()


def test_the_same_weights_on_both_sides_give_the_same_network(nets, photos, tmp_path):
    torch.save(read_network(f"{nets}:tiny", seed=5).model.state_dict(), tmp_path / "w.pt")
    given = ("--weights-a", tmp_path / "w.pt", "--weights-b", tmp_path / "w.pt")
    layers = ("--layer-a", "mean", "--layer-b", "mean", "--order", 1)
    found = compared(nets, photos, tmp_path / "out", *given, *layers)
    assert found.exit_code == 0, found.output
    # vectors have no pictures
    drawn = {path.stem for path in (tmp_path / "out" / "figures").iterdir()}
    assert drawn == {"ladder"}
    table = pd.read_csv(tmp_path / "out" / "tables" / "compare.csv")
    assert table["xdelta"].max() < 0.01
    assert "x2" not in table


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--penalty", -1, r"SettingsError: --penalty: Input should be greater than or equal to 0"),
        ("--centring", "unit", "'unit' is not one of 'layer', 'channel'"),
        ("--gain", "open", "'open' is not one of 'sigmoid', 'free'"),
        (
            "--layer-a",
            None,
            r"FeatureError: a: nets.py:tiny is a network, so a layer must be named",
        ),
        ("--layer-a", "conv33", r"NetworkError: unknown node 'conv33'; nearest: conv3"),
        ("--a", "resnet81", r"NetworkError: 'resnet81' is no network of torchvision's"),
        ("--weights-b", "nothing.pt", r"NetworkError: nothing.pt: no such file"),
        ("--images", "nowhere", r"ImageError: nowhere: no such folder or archive"),
        ("--order", 9, r"SettingsError: --order: Input should be less than or equal to 5 (got 9)"),
        ("--dtype", "float8", "'float8' is not one of 'float16', 'float32', 'bfloat16'"),
        ("--size", 8, r"SettingsError: --size: Input should be greater than or equal to 16"),
        ("--tokens", "some", "'some' is not one of 'all', 'patches', 'class'"),
        ("--align", "mean", "'mean' is not one of 'auto', 'pool', 'grid'"),
        ("--tap", "fx", "'fx' is not one of 'auto', 'graph', 'hooks'"),
        ("--layout-b", "hwc", "'hwc' is not one of 'auto', 'nchw', 'nhwc'"),
        ("--layers", "conv1,conv2", r"SettingsError: layers is for both sides; exp"),
        ("--layer-a", "conv3\nconv2", r"SettingsError: --layer-a: expected one line of 1 to"),
        ("--test-share", 1, r"SettingsError: --test-share: Input should be less than 1 (got 1.0)"),
        ("--ids-a", "ids.txt", r"SettingsError: ids_a 'ids.txt': "),
        ("--epochs", 0, r"SettingsError: --epochs: Input should be greater than or equal to 1"),
        ("--penalty", "nan", r"SettingsError: --penalty: Input should be a finite number"),
        (
            "--device",
            "gpu",
            r"DeviceError: device: 'gpu'; expected auto, cpu, cuda or, with its number, cuda:1.",
        ),
        (
            "--device",
            "mps",
            r"DeviceError: device: 'mps' was asked for, but torch ",
        ),
        ("--threads", 999, r"DeviceError: threads: 999 were asked for, and this process may use"),
    ],
)
def test_each_user_error_gives_one_message(nets, photos, tmp_path, option, value, told):
    found = compared(nets, photos, tmp_path / "out", option, value)
    assert found.exit_code == 2
    # typer draws a box around its own
    assert told in " ".join(found.output.replace("│", " ").split()) + found.output
    assert "Traceback" not in found.output


def test_colours_are_three_numbers(nets, photos, tmp_path):
    spec = f"{nets}:tiny"
    found = run(
        *("compare", *SMALL, "--a", spec, "--b", spec, "--layer-a", "conv3", "--layer-b", "conv3"),
        *("--images", photos, "--out", tmp_path / "out"),
        *("--mean", 0.5, 0.5, 0.5, "--std", 0.2, 0, 0.2),
    )
    assert found.exit_code == 2
    assert "SettingsError: --std: Input should be greater than 0 (got 0.0)" in found.output


def test_each_problem_with_files_gives_one_message(nets, photos, tmp_path):
    def told(*more):
        found = compared(nets, photos, tmp_path / "out", *more)
        assert found.exit_code == 2, found.output
        assert "Traceback" not in found.output
        return found.output

    (tmp_path / "empty").mkdir()
    assert "ImageError: " in (empty := told("--images", tmp_path / "empty"))
    assert "empty: no picture in it" in empty
    torch.save({"conv1.weight": torch.ones(2)}, tmp_path / "w.pt")
    state = told("--weights-a", tmp_path / "w.pt")
    assert "NetworkError: " in state
    assert "7 missing in the file (conv1.bias" in state
    assert "conv1.weight (2,), expected (4, 3, 3, 3)" in state
    not_finite = told("--a", f"{nets}:overflowing", "--layer-a", "truediv")
    assert "FeatureError: " in not_finite
    assert "is not finite (NaN or inf)" in not_finite
    (photos / "13.png").write_bytes(b"\x89PNG torn")
    torn = told()
    assert "ImageError: " in torn
    assert "'13.png'" in torn
