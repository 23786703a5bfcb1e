import pytest

from kc import provenance
from kc.provenance import code_hash, product_key


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Replace kc by a small package: a imports b; c imports nothing."""
    (tmp_path / "__init__.py").write_text("")
    (tmp_path / "a.py").write_text("from kc import b\n\ndef f():\n    return b.X\n")
    (tmp_path / "b.py").write_text("X = 1\n")
    (tmp_path / "c.py").write_text("Y = 1\n")
    monkeypatch.setattr(provenance, "PACKAGE_ROOT", tmp_path)

    def forget():
        for cached in (f for f in vars(provenance).values() if hasattr(f, "cache_clear")):
            cached.cache_clear()

    forget()
    yield tmp_path, forget
    forget()


def test_an_edit_changes_the_hash_of_importing_modules_only(package):
    root, forget = package
    a, c = code_hash("kc.a"), code_hash("kc.c")
    (root / "b.py").write_text("X = 2\n")
    forget()
    assert code_hash("kc.a") != a
    assert code_hash("kc.c") == c


def test_comments_and_docstrings_do_not_change_the_hash(package):
    root, forget = package
    a = code_hash("kc.a")
    (root / "b.py").write_text('"""Now documented."""\n\n# and why\nX = 1\n')
    forget()
    assert code_hash("kc.a") == a


RAISING = """
def f(x):
    if x:
        raise ValueError(f"{x} is wrong: " "Fix: mend it", LIMIT)
    return "a text"
"""


@pytest.mark.parametrize(
    ("old", "new", "counts"),
    [
        ("is wrong", "is no good", False),
        ("{x} is", "{x + 1} is", False),
        ("LIMIT", "OTHER", True),
        ("ValueError", "TypeError", True),
        ("if x", "if not x", True),
        ("a text", "another text", True),
    ],
)
def test_the_text_of_a_raised_error_does_not_change_the_hash(package, old, new, counts):
    root, forget = package
    (root / "a.py").write_text(RAISING)
    forget()
    before = code_hash("kc.a")
    assert old in RAISING
    (root / "a.py").write_text(RAISING.replace(old, new))
    forget()
    assert (code_hash("kc.a") != before) == counts


PACKAGE = {
    "pkg/__init__.py": "from kc.pkg.one import f\nfrom kc.pkg.two import g as h\n__all__ = ['f']\n",
    "pkg/one.py": "def f():\n    return 1\n",
    "pkg/two.py": "def g():\n    return 1\n",
    "pkg/three.py": "def k():\n    return 1\n",
    "far/__init__.py": "from kc.pkg import f, h\n",
}


@pytest.mark.parametrize(
    ("line", "counted"),
    [
        ("from kc.pkg import f", {"pkg/one.py"}),
        ("from kc.pkg import h", {"pkg/two.py"}),
        ("from kc.far import h", {"pkg/two.py"}),
        ("from kc.pkg import three", {"pkg/three.py"}),
        ("from kc.pkg.one import f", {"pkg/one.py"}),
        # a name that cannot be found counts the whole package
        ("from kc.pkg import unknown", {"pkg/__init__.py", "pkg/one.py", "pkg/two.py"}),
        ("import kc.pkg", {"pkg/__init__.py", "pkg/one.py", "pkg/two.py"}),
    ],
)
def test_a_reexported_name_counts_the_module_that_defines_it(package, line, counted):
    root, forget = package
    for name, text in PACKAGE.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    (root / "a.py").write_text(f"{line}\n")
    forget()
    before, changed = code_hash("kc.a"), set()
    for name, text in PACKAGE.items():
        (root / name).write_text(f"{text}LIMIT = 1\n")
        forget()
        if code_hash("kc.a") != before:
            changed.add(name)
        (root / name).write_text(text)
    # a package with other code runs whenever one of its modules is imported
    assert changed - {"pkg/__init__.py", "far/__init__.py"} == counted - {"pkg/__init__.py"}
    assert "pkg/__init__.py" in changed


def test_every_package_of_kc_only_reexports():
    root = provenance.PACKAGE_ROOT
    packages = [path.parent.relative_to(root) for path in root.rglob("__init__.py")]
    names = [".".join(("kc", *path.parts)) for path in packages if path.parts]
    assert len(names) > 5
    assert [name for name in names if not provenance.only_hands_on(name)] == []
    # a star import hides which module defines a name
    stars = [path for path in root.rglob("*.py") if "import *" in path.read_text()]
    assert stars == []


@pytest.mark.parametrize(
    ("text", "hands_on"),
    [
        ('"""About."""\n\nfrom kc.b import X\n\n__all__ = ["X"]\n', True),
        ("", True),
        ("from kc.b import X\nLIMIT = 1\n", False),
        ("import kc.b\n", False),
        ("def __getattr__(name): ...\n", False),
    ],
)
def test_a_package_that_does_more_than_reexport_is_detected(package, text, hands_on):
    root, forget = package
    (root / "__init__.py").write_text(text)
    forget()
    assert provenance.only_hands_on("kc") == hands_on


def test_a_key_depends_on_settings_and_inputs():
    key = product_key({"a": 1}, {"images": "x"}, "kc.runtime")
    assert key == product_key({"a": 1}, {"images": "x"}, "kc.runtime")
    assert key != product_key({"a": 2}, {"images": "x"}, "kc.runtime")
    assert key != product_key({"a": 1}, {"images": "y"}, "kc.runtime")
