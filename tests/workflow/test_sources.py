"""The user's files are inputs of the workflow: their bytes, and all that code imports."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

ROOT = Path(__file__).parents[2]
SETTINGS = {
    "results": "out",
    "data_root": ".",
    "datasets": {"own": {"layout": "folder", "archive": "photos", "size": 16}},
    "custom": [
        {"name": "mine", "a": "nets.py:one", "b": "nets.py:two", "layer_a": "net", "layer_b": "net"}
        | {"images": "photos", "size": 16}
    ],
    "consistency": {"order": 1, "optimiser": {"epochs": 1}},
}
NETS = """
from blocks import block
def one():
    return block(3)
def two():
    return block(4)
"""
BLOCKS = """
from torch import nn
class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.net = nn.Conv2d(3, width, 3, 2, 1)
    def forward(self, x):
        return self.net(x)
def block(width):
    return Block(width)
"""


def photo(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), np.uint8)
    Image.fromarray(pixels).save(path)


def snakemake(folder, *arguments):
    command = [
        *(sys.executable, "-m", "snakemake", "out/images/own.json", "custom", "--cores", "2"),
        *("--snakefile", str(ROOT / "Snakefile"), "--configfile", "own.yaml", *arguments),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env=environment, check=False
    )
    text = done.stdout + done.stderr
    assert done.returncode == 0, text
    return {name for name in ("images_own", "custom_mine") if f"rule {name}:" in text}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sources")
    for number in range(24):
        photo(folder / f"photos/class{number % 2}/{number:02d}.bmp", number)
    (folder / "nets.py").write_text(NETS)
    (folder / "blocks.py").write_text(BLOCKS)
    (folder / "own.yaml").write_text(yaml.safe_dump(SETTINGS))
    assert snakemake(folder, "-n") == {"images_own", "custom_mine"}
    # a dry run of what is not made reads nothing of the user's
    assert not list(folder.glob("out/sources/*"))
    assert snakemake(folder) == {"images_own", "custom_mine"}
    return folder


@pytest.mark.long
def test_touched_files_cause_no_rerun(folder):
    for path in (*folder.glob("photos/*/*"), folder / "blocks.py"):
        path.touch()
    assert snakemake(folder, "-n") == set()


@pytest.mark.long
def test_a_picture_below_a_class_folder_counts_by_its_bytes(folder):
    path = folder / "photos/class1/01.bmp"
    before = path.read_bytes()
    photo(path, 99)
    assert len(path.read_bytes()) == len(before)
    assert snakemake(folder, "-n") == {"images_own", "custom_mine"}
    path.write_bytes(before)
    assert snakemake(folder, "-n") == set()


@pytest.mark.long
def test_a_module_that_a_networks_file_imports_counts(folder):
    (folder / "blocks.py").write_text(BLOCKS.replace("3, 2, 1)", "3, 1, 1)"))
    assert snakemake(folder, "-n") == {"custom_mine"}
    (folder / "blocks.py").write_text(BLOCKS)
    assert snakemake(folder, "-n") == set()


@pytest.mark.long
def test_deleted_sources_cause_no_rerun(folder):
    sources = folder / "photos", folder / "nets.py"
    moved = [path.rename(path.with_name(f"moved-{path.name}")) for path in sources]
    assert snakemake(folder, "-n") == set()
    for path in moved:
        path.rename(path.with_name(path.name.removeprefix("moved-")))
