from pathlib import Path

import numpy as np
import pytest

from kc.errors import StoreError
from kc.plans.optional import import_optional
from kc.store.place import place_of


def test_a_library_that_is_there_is_imported():
    assert import_optional("numpy", "this", StoreError) is np


def test_a_missing_library_is_named_with_its_fix():
    with pytest.raises(StoreError) as told:
        import_optional("no_such.part", "x.h5: reading", StoreError, "save it as .npy")
    assert str(told.value) == (
        "x.h5: reading needs no_such, which is not installed. Fix: save it as .npy, or: pip "
        "install no_such"
    )


def test_a_bucket_without_its_library_is_one_clear_error(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "obstore", None)
    with pytest.raises(StoreError, match="s3://b/p: a bucket needs obstore, which is not install"):
        place_of(Path("s3://b/p"))
