"""The built package works without a checkout: settings, presets and documentation are in it."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    folder, source = (tmp_path_factory.mktemp(name) for name in ("wheel", "source"))
    # building leaves files behind
    for name in ("kc", "docs", "workflow"):
        shutil.copytree(ROOT / name, source / name, symlinks=True)
    for name in ("pyproject.toml", "README.md", "LICENSE", "config.yaml"):
        shutil.copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir"]
    subprocess.run([*command, str(folder), str(source)], check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    assert wheel.name.startswith("knowledge_consistency-")
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(folder / "installed")
    return folder / "installed"


@pytest.fixture
def run(installed, tmp_path):
    def kc(*arguments):
        about = os.environ | {"PYTHONPATH": str(installed), "COLUMNS": "200"}
        done = subprocess.run(
            [sys.executable, "-m", "kc", *arguments],
            cwd=tmp_path,
            env=about,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    return kc


def test_files_of_the_package_are_those_of_the_checkout(installed):
    shipped = installed / "kc" / "settings" / "shipped"
    assert (shipped / "config.yaml").read_bytes() == (ROOT / "config.yaml").read_bytes()
    assert {path.name: path.read_bytes() for path in (shipped / "presets").iterdir()} == {
        path.name: path.read_bytes() for path in (ROOT / "workflow" / "presets").iterdir()
    }
    pages = {path.name for path in (installed / "kc" / "cli" / "pages").iterdir()}
    assert pages == {path.name for path in (ROOT / "docs").glob("*.md")}


def test_a_plan_takes_a_preset_by_its_name(run):
    code, told = run("plan", "stability", "--configfile", "smoke")
    assert code == 0, told
    assert "networks" in told
    code, told = run("plan", "stability", "--cores", "8")
    assert code == 2
    assert "no such file; --cores needs the workflow" in told


def test_the_documentation_is_read_by_the_command(run):
    code, told = run("docs", "peers")
    assert (code, told) == (0, (ROOT / "docs" / "peers.md").read_text())
    assert "peers: " in run("docs")[1]
    code, told = run("docs", "nothing")
    assert code == 2
    assert "no page 'nothing'; there are " in told
