import json

import pandas as pd
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from kc.cli import app
from kc.own import read_network

SMALL = ("--size", 16, "--epochs", 2)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def compared(nets, photos, out, *more):
    spec = f"{nets}:tiny"
    found = {"--a": spec, "--b": spec, "--layer-a": "conv3", "--layer-b": "conv3"}
    found |= {"--images": photos, "--out": out}
    found |= dict(zip(more[::2], more[1::2], strict=True))
    return run("compare", *SMALL, *(word for pair in found.items() for word in pair))


def test_layers_lists_names_and_shapes(nets):
    found = run("layers", f"{nets}:tiny", "--size", 16)
    assert found.exit_code == 0, found.output
    assert "conv3  4 x 4 x 4" in found.output.splitlines()


def test_compare_writes_tables_and_pictures(nets, photos, tmp_path):
    out = tmp_path / "out"
    found = compared(nets, photos, out)
    assert found.exit_code == 0, found.output
    table = pd.read_csv(out / "tables" / "compare.csv")
    assert list(table.columns) == [
        *("target", "source", "subset", "xdelta", "x0", "x1", "x2", "cross"),
        *("images", "positions_per_weight", "p1", "p2"),
    ]
    assert len(table) == 4
    share = table["xdelta"][0]
    markdown = (out / "tables" / "compare.md").read_text()
    assert f"On test images, {100 * share:.1f} % of the variance of b's layer" in markdown
    assert markdown in found.output
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


def test_one_file_of_weights_for_both_is_one_network(nets, photos, tmp_path):
    torch.save(read_network(f"{nets}:tiny", seed=5).model.state_dict(), tmp_path / "w.pt")
    given = ("--weights-a", tmp_path / "w.pt", "--weights-b", tmp_path / "w.pt")
    layers = ("--layer-a", "mean", "--layer-b", "mean", "--order", 1)
    found = compared(nets, photos, tmp_path / "out", *given, *layers)
    assert found.exit_code == 0, found.output
    # vectors have no pictures
    assert not (tmp_path / "out" / "figures").exists()
    table = pd.read_csv(tmp_path / "out" / "tables" / "compare.csv")
    assert table["xdelta"].max() < 0.01
    assert "x2" not in table


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--layer-a", "conv33", r"NetworkError: unknown node 'conv33'; nearest: conv3"),
        ("--a", "resnet81", r"NetworkError: 'resnet81' is no network of torchvision's"),
        ("--weights-b", "nothing.pt", r"NetworkError: nothing.pt: no such file"),
        ("--images", "nowhere", r"ImageError: nowhere: no folder and no archive there"),
        ("--order", 9, r"SettingsError: --order: Input should be less than or equal to 5 (got 9)"),
        ("--dtype", "float8", r"SettingsError: --dtype: Input should be"),
        ("--size", 8, r"SettingsError: --size: Input should be greater than or equal to 16"),
        ("--epochs", 0, r"SettingsError: --epochs: Input should be greater than or equal to 1"),
    ],
)
def test_what_the_user_can_mend_is_one_message(nets, photos, tmp_path, option, value, told):
    found = compared(nets, photos, tmp_path / "out", option, value)
    assert found.exit_code == 2
    assert told in found.output
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
