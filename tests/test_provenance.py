import pytest

from kc import provenance
from kc.provenance import code_hash, product_key


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of our own in place of kc: a imports b, c stands alone."""
    (tmp_path / "__init__.py").write_text("")
    (tmp_path / "a.py").write_text("from kc import b\n\ndef f():\n    return b.X\n")
    (tmp_path / "b.py").write_text("X = 1\n")
    (tmp_path / "c.py").write_text("Y = 1\n")
    monkeypatch.setattr(provenance, "PACKAGE_ROOT", tmp_path)

    def forget():
        for cached in ("_closure", "_tree", "_imports", "_module_hash"):
            getattr(provenance, cached).cache_clear()

    forget()
    yield tmp_path, forget
    forget()


def test_an_edit_changes_the_hash_of_what_imports_it_and_of_nothing_else(package):
    root, forget = package
    a, c = code_hash("kc.a"), code_hash("kc.c")
    (root / "b.py").write_text("X = 2\n")
    forget()
    assert code_hash("kc.a") != a
    assert code_hash("kc.c") == c


def test_comments_and_docstrings_change_nothing(package):
    root, forget = package
    a = code_hash("kc.a")
    (root / "b.py").write_text('"""Now documented."""\n\n# and why\nX = 1\n')
    forget()
    assert code_hash("kc.a") == a


def test_a_key_follows_settings_and_inputs():
    key = product_key({"a": 1}, {"images": "x"}, "kc.runtime")
    assert key == product_key({"a": 1}, {"images": "x"}, "kc.runtime")
    assert key != product_key({"a": 2}, {"images": "x"}, "kc.runtime")
    assert key != product_key({"a": 1}, {"images": "y"}, "kc.runtime")
