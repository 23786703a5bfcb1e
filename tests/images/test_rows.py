import numpy as np
import pandas as pd
import pytest

from kc.images.rows import rows_in

ROWS = pd.DataFrame(
    {
        "subset": ["test", "train", "train", "test", "train", "test"],
        "superclass": ["dog", "dog", "bird", "bird", "dog", "dog"],
    },
    index=[9, 8, 7, 6, 5, 4],  # positions count, not labels
)


@pytest.mark.parametrize(
    ("subset", "only", "expected"),
    [
        (None, "", [0, 1, 2, 3, 4, 5]),
        ("train", "", [1, 2, 4]),
        ("test", "", [0, 3, 5]),
        (None, "dog", [0, 1, 4, 5]),
        ("train", "dog", [1, 4]),
        ("test", "bird", [3]),
        ("test", "do", []),
    ],
)
def test_rows_of_a_subset_and_a_superclass(subset, only: str, expected: list[int]):
    found = rows_in(ROWS, subset, only)
    assert found.dtype == np.int64
    assert found.tolist() == expected


def test_rows_without_superclasses_are_selected_by_subset():
    plain = ROWS.drop(columns="superclass")
    assert rows_in(plain, "test").tolist() == [0, 3, 5]
    with pytest.raises(KeyError, match="superclass"):
        rows_in(plain, "test", "dog")
