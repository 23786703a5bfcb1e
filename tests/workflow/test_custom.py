"""The user's own pairs in the workflow."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from kc.errors import SettingsError
from kc.settings.load import load_settings

ROOT = Path(__file__).parents[2]


def features(folder, name, seed, rows=80):
    rng = np.random.default_rng(seed)
    np.save(folder / name, rng.normal(size=(rows, 5)).astype(np.float32))


def snakemake(folder, pairs, *arguments):
    (folder / "own.yaml").write_text(
        yaml.safe_dump({"custom": pairs, "consistency": {"optimiser": {"epochs": 1}}})
    )
    command = [
        *(sys.executable, "-m", "snakemake", "custom", "--cores", "1", *arguments),
        *("--snakefile", str(ROOT / "Snakefile"), "--configfile", "own.yaml"),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env=environment, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.long
def test_a_pair_is_compared_into_its_folder_and_again_only_when_it_changes(tmp_path):
    features(tmp_path, "x.npy", 0)
    features(tmp_path, "y.npy", 1)
    pair = {"name": "mine", "a": "x.npy", "b": "y.npy"}
    code, text = snakemake(tmp_path, [pair])
    assert code == 0, text
    folder = tmp_path / "results" / "custom" / "mine"
    assert (folder / "index.html").is_file()
    table = pd.read_csv(folder / "tables" / "compare.csv")
    assert table.loc[table["subset"] == "test", "xdelta"].min() > 0.9  # independent noise
    assert snakemake(tmp_path, [pair])[1].count("Nothing to be done") == 1
    other = [pair, pair | {"name": "matrix", "layers": "all"}]
    code, text = snakemake(tmp_path, other, "-n")
    assert code == 0, text
    assert "rule custom_matrix:" in text
    assert "rule custom_mine:" not in text
    assert "figures/matrix.svg" in text
    features(tmp_path, "y.npy", 2)
    assert "rule custom_mine:" in snakemake(tmp_path, [pair], "-n")[1]


def test_missing_files_are_named(tmp_path):
    pair = {"name": "mine", "a": "resnet18", "b": "nets.py:mine", "layer_a": "x", "layer_b": "x"}
    code, text = snakemake(tmp_path, [pair | {"images": "photos"}], "-n")
    assert code != 0
    assert "nets.py" in text
    assert "photos" in text


@pytest.mark.parametrize(
    ("pairs", "told"),
    [
        ([{"name": "m", "a": "x.npy"}], r"custom\.0\.b: Field required"),
        (
            [{"name": "m/n", "a": "x.npy", "b": "y.npy"}],
            r"custom\.0\.name: expected a name of 1",
        ),
        (
            [{"name": "m", "a": "x.npy", "b": "y.npy", "layers": "all", "layer_a": "conv"}],
            r"layers is for both sides; expected it, or layer_a and layer_b",
        ),
        (
            [{"name": "m", "a": "x.npy", "b": "resnet18", "weights_a": "w.pt"}],
            r"weights_a 'w\.pt': 'x\.npy' is a file of features",
        ),
        (
            [{"name": "m", "a": "x.npy", "b": "resnet18", "ids_b": "ids.txt"}],
            r"ids_b 'ids\.txt': 'resnet18' is no file of features",
        ),
        ([{"name": "m", "a": "x.npy", "b": "y.npy"}] * 2, r"custom: 'm' appears twice"),
    ],
)
def test_an_invalid_pair_is_an_error_of_one_line(pairs, told):
    with pytest.raises(SettingsError, match=told):
        load_settings({"custom": pairs})


def test_no_study_depends_on_the_users_own_pairs():
    settings = load_settings({"custom": [{"name": "m", "a": "x.npy", "b": "y.npy"}]})
    for study in ("stability", "baselines", "concepts"):
        assert settings.of_study(study) == load_settings({}).of_study(study)
