"""The six lines of the README; the modules are not changed."""

import pytest
import torch
from torch import nn

from kc.comparison import CompareSettings
from kc.comparison.workplace import Workplace

SIX = """
from kc.comparison import compare
from kc.comparison.write_pair import write_comparison
a, b = network(), network()
found = compare(a, b, LAYER, LAYER, images="photos", out="compared")
print(found.shares.to_string())
print(write_comparison(found, "compared"))
"""


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 5, stride=8), nn.BatchNorm2d(4), nn.ReLU(inplace=True))


@pytest.mark.long
def test_the_six_lines_of_the_readme_write_a_page(photos, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {"network": network, "LAYER": "0"}
    assert len(SIX.strip().splitlines()) == 6
    exec(SIX, names)
    said = capsys.readouterr().out
    assert "xdelta" in said
    assert "compared/index.html" in said
    assert (tmp_path / "compared" / "index.html").is_file()
    assert (tmp_path / "compared" / "index_files" / "views.js").is_file()
    assert "a: Sequential, weights: as the module holds them; layer 0 (4 x 8 x 8)." in (
        names["found"].notes
    )


def test_modules_are_not_changed(photos, tmp_path):
    from kc.comparison import compare

    module = network().train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    compare(module, module, "1", "1", photos, tmp_path / "out")
    assert module.training
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


def test_a_layer_must_be_named(photos, tmp_path):
    from kc.comparison import compare
    from kc.errors import FeatureError

    with pytest.raises(FeatureError, match=r"a: Sequential is a network, so a layer must be named"):
        compare(network(), network(), images=photos, out=tmp_path / "out")


def test_on_apples_gpu_networks_run_and_g_does_not(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    at = Workplace.of(CompareSettings(), tmp_path, "mps")
    assert (at.of_networks.type, at.device.type) == ("mps", "cpu")
    at = Workplace.of(CompareSettings(), tmp_path, "cpu")
    assert (at.of_networks.type, at.device.type) == ("cpu", "cpu")
