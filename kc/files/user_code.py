"""Find the Python files that a user's file imports, without running them."""

import ast
import importlib.machinery
import sys
import sysconfig
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from kc.provenance import PACKAGE_ROOT

SUFFIXES = tuple(importlib.machinery.all_suffixes())


def files_imported(file: Path) -> list[Path]:
    """List a Python file and all it imports, directly or not, except installed libraries.

    Modules are looked for in the file's folder, as when it is run, then on Python's path outside
    the standard library, ``site-packages`` and kc. Imports by a computed name are not found, except
    ``importlib.import_module("name")``.
    """
    folders = [file.resolve().parent, *_own_folders()]
    found: dict[Path, None] = {}
    waiting = [(file, "")]
    while waiting:
        path, package = waiting.pop()
        if path in found:
            continue
        found[path] = None
        for name in _names(path, package):
            waiting += _modules(name, folders)
    return list(found)


def is_library(file: str | Path) -> bool:
    """Return whether a file belongs to the standard library, an installed library or kc."""
    path = Path(file).resolve()
    return any(path.is_relative_to(folder) for folder in (*_libraries(), PACKAGE_ROOT))


@cache
def _libraries() -> tuple[Path, ...]:
    paths = sysconfig.get_paths()
    return tuple(
        Path(paths[name]).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")
    )


def _own_folders() -> list[Path]:
    """List the folders of Python's path without libraries."""
    found = [Path(path or ".").resolve() for path in sys.path]
    return [
        folder
        for folder in found
        if folder.is_dir() and folder != PACKAGE_ROOT.parent and not is_library(folder)
    ]


def _modules(name: str, folders: list[Path]) -> Iterator[tuple[Path, str]]:
    """Return the files of ``a.b.c`` and of its parent packages, each with its package."""
    parts = name.split(".")
    for folder in folders:
        for depth in range(1, len(parts) + 1):
            place = folder.joinpath(*parts[:depth])
            if (place / "__init__.py").is_file():
                yield place / "__init__.py", ".".join(parts[:depth])
            for suffix in SUFFIXES:
                if (single := place.with_name(place.name + suffix)).is_file():
                    yield single, ".".join(parts[: depth - 1])


def _names(path: Path, package: str) -> Iterator[str]:
    """Return the full names of all imports in a file, also inside functions."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, ValueError, SyntaxError):  # a compiled module, or one with a syntax error
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*(above if node.level else []), *filter(None, [node.module])])
            yield from (f"{base}.{alias.name}" if base else alias.name for alias in node.names)
        elif isinstance(node, ast.Call) and _imports(node.func) and node.args:
            name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield name.value.lstrip(".")


def _imports(function: ast.expr) -> bool:
    named = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return named in ("import_module", "__import__")
