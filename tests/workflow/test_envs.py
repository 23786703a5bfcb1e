"""The conda environments hold what the rules import, in the tested versions."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from kc import provenance
from kc.plans.registry import STUDIES
from tests.workflow.conda.names import CONDA, PYPI

ROOT = Path(__file__).parents[2]
SPECS = sorted((ROOT / "envs").glob("*.yaml"))
SCRIPTS = ROOT / "workflow" / "scripts"
MODULES = {
    "PIL": "pillow",
    "google_crc32c": "google-crc32c",
    "yaml": "pyyaml",
}
IMPLIED = {"jinja2", "numcodecs"}
"""Also imported by other packages: for pandas' LaTeX tables, and zarr's codecs."""
COMMAND_LINE = {"typer", "rich"}
"""Packages that only the command ``kc`` needs."""


def studies_in(environment):
    """Return the modules of the studies that run in an environment, from their records."""
    return [f"kc.studies.{n}" for n, study in STUDIES.items() if study.environment == environment]


ENTRIES = {
    "torch": [
        *("images/build.py", "networks/train.py", "activations/record.py", "consistency/fit.py"),
        *("concepts/train.py", "concepts/maps.py", "consistency/titrate.py"),
    ],
    "report": ["studies/study.py", *studies_in("report")],
    "download": ["download/fetch.py"],
    "studies": [
        *("studies/study.py", "report/page.py", "custom/compare.py", "storage/drop.py"),
        *studies_in("studies"),
    ],
}


def canonical(requirement):
    name = re.match(r"[A-Za-z0-9_.-]+", requirement).group()
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned(spec):
    """Read an environment: versions by PyPI's names, without Python's own."""
    lines = yaml.safe_load(spec.read_text())["dependencies"]
    found = dict(line.split("=") for line in lines)
    assert found.pop("python") == (ROOT / ".python-version").read_text().strip()
    return {PYPI.get(name, name): version for name, version in found.items()}


def environment(name):
    return pinned(ROOT / "envs" / f"{name}.yaml")


def dependencies():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    # what the workflow may need besides
    extras = (project["optional-dependencies"][name] for name in ("s3", "download"))
    return {canonical(line) for lines in (project["dependencies"], *extras) for line in lines}


def imported(tree, lazily):
    """Return the imports of a module: those at its top, or all."""
    for node in ast.walk(tree) if lazily else tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def needs(entries, lazily=True):
    """Return the packages that scripts and modules of kc import, directly or not."""
    found, seen, waiting = set(), set(), []
    trees = []
    for entry in entries:
        if entry.endswith(".py"):
            trees.append(ast.parse((SCRIPTS / entry).read_text()))
        else:
            waiting.append(entry)
    while waiting or trees:
        if not trees:
            module = waiting.pop()
            # the root imports its public names for those who ask it, and nothing in kc does
            if module in {"kc", *seen} or not provenance._exists(module):
                continue
            seen.add(module)
            waiting += [module.rpartition(".")[0]]
            trees.append(ast.parse(provenance._source_path(module).read_text()))
        for name in imported(trees.pop(), lazily):
            top = name.split(".")[0]
            if top == "kc":
                waiting.append(name)
            elif top not in sys.stdlib_module_names:
                found.add(MODULES.get(top, top))
    return found


def test_every_environment_is_used_by_a_rule():
    assert {spec.stem for spec in SPECS} == set(ENTRIES)
    rules = "".join(path.read_text() for path in (ROOT / "workflow" / "rules").glob("*.smk"))
    assert rules.count("conda:") == len(re.findall(r"^ *(rule\b.*|rule:)$", rules, re.MULTILINE))


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_an_environment_holds_what_its_rules_import_and_nothing_else(name):
    wanted, held = needs(ENTRIES[name]), set(environment(name))
    if "torch" not in held:
        # threads are set where it is there, stores written in other rules
        assert "torch" not in needs(ENTRIES[name], lazily=False)
        wanted -= {"torch"}
    assert wanted
    assert held - IMPLIED == wanted - IMPLIED


def test_tables_made_only_from_cards_need_no_torch():
    assert "torch" not in environment("report")
    assert "torch" in environment("studies")


def test_together_they_hold_every_dependency_of_the_project():
    together = set().union(*(pinned(spec) for spec in SPECS))
    assert together == dependencies() - COMMAND_LINE


def test_the_pins_are_those_of_the_constraints_file():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = {canonical(line): line.split("==")[1] for line in lines if "==" in line}
    for spec in SPECS:
        found = pinned(spec)
        assert found == {name: pins[name] for name in found}, spec


def test_names_differ_exactly_as_the_list_says():
    assert {conda: pypi for pypi, conda in CONDA.items()} == PYPI
    for spec in SPECS:
        lines = yaml.safe_load(spec.read_text())["dependencies"]
        assert not {line.split("=")[0] for line in lines} & set(CONDA)
