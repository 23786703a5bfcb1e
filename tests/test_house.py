"""The order of packages: each imports only earlier ones, and no import is circular."""

import ast
import graphlib
from pathlib import Path

import pytest

from kc import provenance

PACKAGE = Path(provenance.__file__).parent
ORDER = (
    ("errors",), ("names",), ("progress",), ("runtime",), ("provenance",), ("files",),
    ("settings", "plans"), ("store",), ("datasets",), ("synthetic",), ("images",), ("networks",),
    ("activations",), ("consistency",), ("similarity",), ("concepts",), ("report",),
    ("studies", "comparison"), ("estimates",), ("steps",), ("cli",), ("__main__",),
)  # fmt: skip
"""Order of the packages; those in one tuple may import each other."""
LIGHT = ("errors", "names", "provenance", "files", "settings", "plans")
"""Packages for the Snakefile, which needs neither torch nor zarr."""
HEAVY = {"torch", "torchvision", "zarr", "matplotlib", "pandas"}


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        yield ".".join(parts).removesuffix(".__init__"), path


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def part_of(module):
    return module.split(".")[1] if "." in module else ""


PLACE = {part: place for place, parts in enumerate(ORDER) for part in parts}


def test_every_package_has_its_place_in_the_order():
    assert {part_of(name) for name, _ in modules()} - {""} == set(PLACE)


@pytest.mark.parametrize("part", PLACE)
def test_a_package_imports_only_earlier_ones(part):
    wrong = [
        f"{name} imports {found}"
        for name, path in modules()
        if part_of(name) == part
        for found in imported(path)
        if found.startswith("kc.") and PLACE[part_of(found)] > PLACE[part]
    ]
    assert not wrong


def test_no_module_imports_itself_indirectly():
    graph = {name: {provenance._definer(*pair) for pair in pairs(path)} for name, path in modules()}
    graph = {name: {found for found in some if found in graph} for name, some in graph.items()}
    list(graphlib.TopologicalSorter(graph).static_order())


def pairs(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("kc."):
            yield from ((node.module, alias.name) for alias in node.names)


def test_only_stores_import_zarr_and_the_snakefile_needs_no_torch():
    for name, path in modules():
        heavy = {found.split(".")[0] for found in imported(path)} & HEAVY
        assert "zarr" not in heavy or part_of(name) == "store", name
        assert not heavy or part_of(name) not in LIGHT, f"{name} imports {heavy}"
