"""One name is one thing: no public name is defined in two modules, no stem in three packages."""

import ast
from collections import defaultdict
from pathlib import Path

import kc

ROOT = Path(kc.__file__).parent
SAME_NAME = {"write": "kc.studies"}
"""By the package in whose modules a name does the same job: each study writes its files."""
SAME_STEM = {
    "notes": "sentences under a table",
    "numbers": "what a study measures",
    "table": "a study's files",
}
"""Files that do the same job in each package."""
NAMED_AFTER = ("kc.steps", "kc.plans.records")
"""Packages whose files are called as what they serve: a stage, a study."""


def modules():
    for path in sorted(ROOT.rglob("*.py")):
        if path.name != "__init__.py":
            yield ".".join(path.relative_to(ROOT.parent).with_suffix("").parts), path


def defined(path):
    """Give the public classes, functions and types of a module; constants are its own affair."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names = [node.name]
        elif isinstance(node, ast.TypeAlias):
            names = [node.name.id]
        elif isinstance(node, ast.Assign):
            names = [one.id for one in node.targets if isinstance(one, ast.Name)]
            names = [name for name in names if not name.isupper()]
        else:
            names = []
        yield from (name for name in names if not name.startswith("_"))


def doubled(places):
    return {name: found for name, found in places.items() if len(found) > 1}


def test_no_public_name_is_defined_in_two_modules():
    places = defaultdict(list)
    for module, path in modules():
        for name in defined(path):
            if not module.startswith(f"{SAME_NAME.get(name, module)}."):
                places[name].append(module)
    assert doubled(places) == {}


def test_no_stem_of_a_file_stands_in_three_packages():
    places = defaultdict(list)
    for module, _ in modules():
        package, _, stem = module.rpartition(".")
        if stem not in SAME_STEM and package not in NAMED_AFTER:
            places[stem].append(package)
    assert {stem: found for stem, found in places.items() if len(found) > 2} == {}


def test_what_does_the_same_job_is_still_there():
    stems = [module.rpartition(".")[2] for module, _ in modules()]
    assert all(stems.count(stem) > 1 for stem in SAME_STEM)


def test_a_name_defined_twice_is_seen(tmp_path):
    file = tmp_path / "one.py"
    file.write_text(
        "Rows = int\nLIMIT = 1\n_a = 2\ndef fit(): ...\nclass Layer: ...\ntype T = int\n"
    )
    assert list(defined(file)) == ["Rows", "fit", "Layer", "T"]
