"""``import kc`` has the public names, and loads nothing heavy before one is used."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import kc
from kc import provenance


def python(code):
    """Run code in a new process; return its output."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_kc_loads_nothing_heavy():
    told = python(
        "import sys, time; begin = time.process_time(); import kc; took = time.process_time() - "
        "begin; print(took, sorted({'torch', 'zarr', 'pandas', 'numpy'} & set(sys.modules)))"
    )
    seconds, heavy = told.split(maxsplit=1)
    assert heavy == "[]"
    assert float(seconds) < 0.3


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("import kc.comparison; first = kc.compare", marks=pytest.mark.long),
        "import kc; first = kc.compare; import kc.comparison",
    ],
)
def test_a_name_is_the_same_before_and_after_its_package_is_imported(code):
    told = "print(callable(first), first is kc.compare is kc.comparison.compare)"
    assert python(f"{code}; {told}") == "True True"


@pytest.mark.parametrize("name", kc.__all__)
def test_each_name_is_that_of_its_package(name):
    (package,) = [package for package, names in kc._FROM.items() if name in names]
    assert getattr(kc, name) is getattr(import_module(package), name)
    assert name in dir(kc)


def test_type_imports_public_names_and_packages_list_the_same_names():
    (typed,) = [
        node for node in ast.parse(Path(kc.__file__).read_text()).body if isinstance(node, ast.If)
    ]
    told = {node.module: tuple(alias.name for alias in node.names) for node in typed.body}
    assert told == kc._FROM
    assert sorted(kc.__all__) == sorted(name for names in told.values() for name in names)


def test_an_unknown_name_is_an_error():
    with pytest.raises(AttributeError, match="module 'kc' has no attribute 'comparee'"):
        _ = kc.comparee


def test_the_public_names_are_in_no_code_hash():
    assert not {"kc", "kc.comparison.compare"} & provenance._closure("kc.consistency.fit")
    assert provenance._definer("kc", "fit") == "kc.consistency.fit"


def test_no_module_of_kc_imports_a_name_from_the_root():
    # such a name would be in no code hash
    root = Path(kc.__file__).parent
    for path in [*root.rglob("*.py"), *(root.parent / "workflow" / "scripts").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert "kc" not in {alias.name for alias in node.names}, path
            elif isinstance(node, ast.ImportFrom) and node.module == "kc":
                assert not {alias.name for alias in node.names} & {*kc.__all__, "*"}, path
