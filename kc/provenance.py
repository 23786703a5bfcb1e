"""Compute keys and code hashes, by which kc knows what a product was made from.

A *code hash* covers a module and every ``kc`` module it imports, directly or not, so editing one
module reruns only what depends on it. A name that a package only re-exports counts the module that
defines it, not the whole package: ``__init__`` files hold only a docstring, imports of names and
``__all__``; one that holds more counts completely. An import by a computed name (a data set's
reader, a study) cannot be found in the code: the caller of the hash names such modules
(``kc.plans.layouts.code_of_dataset``).

The hash leaves out what changes no number of a product:

- comments, docstrings and the texts of raised errors: the hash is taken over the syntax tree
  without them, so that better texts do not cost a night of training;
- ``kc.settings`` and ``kc.plans``: every key contains the settings and the job's plan by value;
- ``kc.errors``, ``kc.cli`` and ``kc.progress``: messages, commands and progress bars;
- this module: if its way of hashing changes, every hash changes.
"""

import ast
import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from kc.errors import without_secrets

DISTRIBUTION = "knowledge-consistency"
"""Name of kc among installed packages; ``kc`` on PyPI is another."""
PACKAGE_ROOT = Path(__file__).parent
NOT_COUNTED = ("kc.settings", "kc.plans", "kc.cli", "kc.errors", "kc.progress", "kc.provenance")
"""Packages and modules without numerics; the reasons are given above."""


def code_hash(*entries: str) -> str:
    """Hash the given modules and all kc modules they import (``kc.consistency.fit`` ...)."""
    modules: set[str] = set()
    for entry in entries:
        modules |= _closure(entry)
    digest = hashlib.sha256()
    for module in sorted(modules):
        digest.update(f"{module}:{_module_hash(module)}\n".encode())
    return digest.hexdigest()[:16]


def product_key(settings: object, inputs: Mapping[str, str], *entries: str) -> str:
    """Hash what a product is made from: settings by value, inputs by digest, code by hash.

    Two runs with equal keys make equal products (up to the machine); a store or a set of
    weights found under another key is never continued.
    """
    text = json.dumps(
        {"settings": plain(settings), "inputs": dict(inputs), "code": code_hash(*entries)},
        sort_keys=True,
        default=str,
    )
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def plain(value: object) -> Any:
    """Turn settings (models, paths, tuples) into what JSON can hold, without secrets.

    The secrets of an address are thus in no product, and do not change a key.
    """
    if isinstance(value, BaseModel):
        return plain(value.model_dump(mode="json"))
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, (Path, str)):
        return without_secrets(str(value))
    return value


def versions() -> dict[str, str]:
    """List the versions of everything that could change a number, for the cards."""
    names = ("kc", "torch", "torchvision", "numpy", "zarr", "pillow", "scipy")
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = importlib.metadata.version(DISTRIBUTION if name == "kc" else name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


@cache
def _closure(module: str) -> frozenset[str]:
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen or not counts(name):
            continue
        seen.add(name)
        waiting.extend(_imports(name))
    return frozenset(seen)


def counts(module: str) -> bool:
    """Return whether a module can change a number, and so is part of code hashes.

    The root ``kc`` cannot: it only re-exports names that no module of kc imports from it.
    """
    left_out = any(module == left or module.startswith(f"{left}.") for left in NOT_COUNTED)
    return module != "kc" and not left_out


@cache
def _tree(module: str) -> ast.Module:
    """Parse a module, without its docstrings and the texts of the errors it raises."""
    tree = ast.parse(_source_path(module).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            node.exc.args = [arg for arg in node.exc.args if not _is_words(arg)]
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            body = node.body
            if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
                node.body = body[1:]
    return tree


def _is_words(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def _source_path(module: str) -> Path:
    parts = module.split(".")[1:]
    package = PACKAGE_ROOT.joinpath(*parts, "__init__.py")
    single = PACKAGE_ROOT.joinpath(*parts[:-1], f"{parts[-1]}.py") if parts else package
    return package if package.is_file() else single


def _exists(module: str) -> bool:
    return module.split(".")[0] == "kc" and _source_path(module).is_file()


@cache
def _imports(module: str) -> frozenset[str]:
    """Return the kc modules that a module imports, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.update(_definer(node.module, alias.name) for alias in node.names)
    around = {parent for name in found for parent in _parents(name) if not only_hands_on(parent)}
    return frozenset(name for name in found | around if _exists(name))


def _definer(module: str, name: str) -> str:
    """Find the module that defines ``name`` in ``from module import name``."""
    if _exists(inner := f"{module}.{name}"):
        return inner
    if not _exists(module) or _source_path(module).name != "__init__.py":
        return module
    origin = _handed_on(module).get(name)
    # if it cannot be found, the whole package counts
    return module if origin is None else _definer(*origin)


@cache
def _handed_on(package: str) -> Mapping[str, tuple[str, str]]:
    """Return the names that a package imports, each with its module and name there."""
    return {
        alias.asname or alias.name: (node.module, alias.name)
        for node in ast.walk(_tree(package))  # those of the root are under TYPE_CHECKING
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0
        for alias in node.names
    }


@cache
def only_hands_on(package: str) -> bool:
    """Return whether a package's ``__init__`` only imports names and lists them."""
    return all(
        isinstance(node, ast.ImportFrom)
        or (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__")
        for node in _tree(package).body
    )


def _parents(module: str) -> list[str]:
    parts = module.split(".")
    found = [".".join(parts[:depth]) for depth in range(1, len(parts))]
    return [name for name in found if _exists(name)]


@cache
def _module_hash(module: str) -> str:
    return hashlib.sha256(ast.dump(_tree(module)).encode()).hexdigest()
