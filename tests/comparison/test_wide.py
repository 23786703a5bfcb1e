"""Comparisons of wide layers and their factorised g."""

import json

import numpy as np
from typer.testing import CliRunner

from kc.cli.main import app
from kc.comparison import CompareSettings, notes
from kc.settings.reconstruction import Consistency


def test_wide_layers_are_factorised_and_compared_with_the_linear_map(tmp_path):
    rng = np.random.default_rng(0)
    few = rng.normal(size=(30, 20, 2, 2))
    for name, seed in (("x", 1), ("y", 2)):
        mixing = np.random.default_rng(seed).normal(size=(520, 20))
        mixed = np.maximum(np.einsum("cf,nfyx->ncyx", mixing, few), 0)
        np.save(tmp_path / f"{name}.npy", mixed.astype(np.float16))
    both = ("--a", str(tmp_path / "x.npy"), "--b", str(tmp_path / "y.npy"))
    out = tmp_path / "out"
    found = CliRunner().invoke(
        app, ["compare", *both, "--epochs", "1", "--no-ladder", "--out", str(out)]
    )
    assert found.exit_code == 0, found.output
    about = json.loads((out / "tables" / "compare.json").read_text())
    for card in about["fits"]:
        assert card["rank"] == 64
        assert 0 < card["linear"]["test"] < 1
        assert card["weights_per_channel"] == -(-(2 * 64 * 520 + 9 * 64 * 64) // 520)
    told = (out / "tables" / "compare.md").read_text()
    assert "Wide layers: each W of g is factorised, C x 64 x C" in told
    assert f"b-from-a {about['fits'][0]['linear']['test']:.3f}" in told


def test_comparisons_choose_the_rank_by_the_images_by_default():
    assert CompareSettings().consistency.rank == "auto"
    assert CompareSettings(consistency=Consistency(order=1)).consistency.rank == "auto"
    assert CompareSettings(consistency=Consistency(rank="full")).consistency.rank == "full"
    released = CompareSettings(consistency=Consistency(preset="released"))
    assert released.consistency.rank == "full"


def test_a_g_worse_than_the_linear_map_gives_a_warning_with_numbers():
    card = {"rank": 64, "linear": {"test": 0.4, "train": 0.2}}
    told = notes.worse_than_linear("From a to b", card, {"test": 0.45, "train": 0.1})
    assert told is not None
    assert "0.450, that of the best full linear map 0.400" in told
    assert "--rank 128" in told
    for share, of in ((0.4002, card), (0.39, card), (0.9, {"rank": None})):
        assert notes.worse_than_linear("", of, {"test": share, "train": 0.1}) is None
