"""No public name is defined in two modules, and no file stem is in three packages."""

import ast
from collections import defaultdict
from pathlib import Path

import kc

ROOT = Path(kc.__file__).parent
SAME_NAME = {"write": "kc.studies"}
"""Names that do the same job in all modules of a package, as ``write`` of each study."""
SAME_STEM = {
    "notes": "sentences under a table",
    "numbers": "what a study measures",
    "table": "a study's files",
}
"""File stems that do the same job in each package."""
NAMED_AFTER = ("kc.steps", "kc.plans.records")
"""Packages whose files are named after a stage or a study."""


def modules():
    for path in sorted(ROOT.rglob("*.py")):
        if path.name != "__init__.py":
            yield ".".join(path.relative_to(ROOT.parent).with_suffix("").parts), path


def defined(path):
    """Return the public classes, functions and types of a module, without constants."""
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


def test_no_file_stem_is_in_three_packages():
    places = defaultdict(list)
    for module, _ in modules():
        package, _, stem = module.rpartition(".")
        if stem not in SAME_STEM and package not in NAMED_AFTER:
            places[stem].append(package)
    assert {stem: found for stem, found in places.items() if len(found) > 2} == {}


def test_the_exceptions_are_still_needed():
    stems = [module.rpartition(".")[2] for module, _ in modules()]
    assert all(stems.count(stem) > 1 for stem in SAME_STEM)


def test_a_name_defined_twice_is_detected(tmp_path):
    file = tmp_path / "one.py"
    file.write_text(
        "Rows = int\nLIMIT = 1\n_a = 2\ndef fit(): ...\nclass Layer: ...\ntype T = int\n"
    )
    assert list(defined(file)) == ["Rows", "fit", "Layer", "T"]
