"""The conda environment names what the project depends on, at the versions it was tested with."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def canonical(requirement):
    name = re.match(r"[A-Za-z0-9_.-]+", requirement).group()
    return re.sub(r"[-_.]+", "-", name).lower()


def environment():
    spec = yaml.safe_load((ROOT / "envs" / "torch.yaml").read_text())
    pip = next(entry["pip"] for entry in spec["dependencies"] if isinstance(entry, dict))
    return {canonical(line): line.split("==")[1] for line in pip}


def test_the_environment_holds_every_dependency_and_nothing_else():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(environment()) == {canonical(line) for line in project["dependencies"]}


def test_the_pins_are_those_of_the_constraints_file():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = {canonical(line): line.split("==")[1] for line in lines if "==" in line}
    found = environment()
    assert len(found) > 10
    assert found == {name: pins[name] for name in found}
