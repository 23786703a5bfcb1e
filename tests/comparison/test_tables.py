"""Features and ids in tables, .csv, .tsv and .parquet."""

import logging
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from kc.cli.main import app
from kc.comparison import compare, read_arrays
from kc.errors import FeatureError
from kc.settings.custom import Pair
from kc.store import open_store
from tests.comparison.test_arrays import SETTINGS, held_out, stored

RNG = np.random.default_rng(2)
ROWS = 60
X = RNG.normal(size=(ROWS, 3)).astype(np.float32)
NAMES = [f"n{k:02d}" for k in range(ROWS)]
FRAME = pd.DataFrame(X, columns=["u", "v", "w"])
NAMED = FRAME.assign(name=NAMES)


def table(path, frame=NAMED, **how):
    if path.suffix == ".parquet":
        frame.to_parquet(path, **how)
    else:
        frame.to_csv(path, sep="\t" if path.suffix == ".tsv" else ",", index=False)
    return path


def refused(path, told, ids=None):
    with pytest.raises(FeatureError, match=told):
        read_arrays(str(path), ids)


def text(path, content):
    path.write_text(content)
    return path


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet"])
@pytest.mark.parametrize("memory_gb", [4.0, 1e-9])
def test_columns_of_numbers_are_the_units(tmp_path, suffix, memory_gb, caplog, monkeypatch):
    monkeypatch.setattr("kc.comparison.csv_files.BLOCK", 28)  # 7 rows
    monkeypatch.setattr("kc.comparison.parquet_files.MOST", 7)
    path = table(tmp_path / f"x.{suffix}")
    with caplog.at_level(logging.WARNING):
        side = read_arrays(str(path), ":name")
    assert side.ids.tolist() == NAMES
    assert "columns that are no units: name (the ids)" in caplog.text
    assert {name: layer.shape for name, layer in side.layers.items()} == {"x": (3,)}
    found = stored(path, tmp_path, memory_gb)
    np.testing.assert_array_equal(found["x"], X)
    rows = np.array([0, 6, 7, 30, 59])
    np.testing.assert_array_equal(side.arrays["x"][rows].astype("f4"), X[rows])
    (one,) = read_arrays(f"{path}:v").arrays.values()
    np.testing.assert_array_equal(one[:].astype("f4"), X[:, 1:2])
    assert list(read_arrays(f"{path}:x").layers) == ["x"]


def test_rows_are_matched_by_a_column_of_ids(tmp_path):
    order = RNG.permutation(ROWS)
    first, second = table(tmp_path / "x.csv"), table(tmp_path / "y.parquet", NAMED.iloc[order])
    sides = [read_arrays(str(first), ":name"), read_arrays(str(second), f"{second}:name")]
    assert sides[1].inputs[-1] == second
    found = compare(*sides, out=tmp_path / "out", settings=SETTINGS)
    assert max(held_out(found).values()) < 0.001
    # ids of another table, as text
    numbered = table(tmp_path / "ids.csv", pd.DataFrame({"k": ["007", "NA", *range(ROWS - 2)]}))
    assert read_arrays(str(first), f"{numbered}:k").ids[:3].tolist() == ["007", "NA", "0"]
    whole = table(tmp_path / "ids.parquet", pd.DataFrame({"k": range(ROWS)}))
    assert read_arrays(str(first), f"{whole}:k").ids[:2].tolist() == ["0", "1"]
    pair = Pair(a=str(first), b=f"{second}:u", ids_a=":name", ids_b=f"{numbered}:k")
    assert pair.files() == [first, second, first, numbered]


def test_the_command_reads_tables_and_names_their_ids(tmp_path):
    first, second = table(tmp_path / "x.tsv"), table(tmp_path / "y.parquet", NAMED.iloc[::-1])
    words = ["compare", "--a", first, "--b", second, "--ids-a", ":name", "--ids-b", ":name"]
    words += ["--epochs", 1, "--no-ladder", "--out", tmp_path / "out"]
    found = CliRunner().invoke(app, [*map(str, words)])
    assert found.exit_code == 0, found.output
    shares = pd.read_csv(tmp_path / "out" / "tables" / "compare.csv")
    assert shares["xdelta"].max() < 0.001
    rows = open_store(tmp_path / "out" / "activations" / "a.zarr").rows
    assert sorted(rows["image_id"]) == NAMES


def test_columns_that_cannot_be_ids_are_refused(tmp_path):
    path, whole = table(tmp_path / "x.csv"), table(tmp_path / "x.parquet")
    refused(
        path, r"x\.csv: no column 'nmae' in it; there are u, v, w, name\. Fix: correct", ":nmae"
    )
    refused(path, r"x\.csv: 61 ids for the 60 .*a column of a table is named .*x\.csv:COLUMN", path)
    refused(path, r"x\.parquet: a table; expected the column of ids", whole)
    refused(path, r"'u' is float; expected ids, text or integers", f"{whole}:u")
    refused(f"{path}:u", r"column 'u' is both ids and feature", ":u")
    holed = table(tmp_path / "h.csv", NAMED.assign(name=["", *NAMES[1:]]))
    refused(holed, r"h\.csv: column 'name' has no id in row 0", ":name")
    holed = table(tmp_path / "h.parquet", NAMED.assign(name=[*NAMES[:7], None, *NAMES[8:]]))
    refused(holed, r"h\.parquet: column 'name' has no id in row 7", ":name")
    np.save(tmp_path / "x.npy", X)
    refused(tmp_path / "x.npy", r"x\.npy: is no table .*so it has no column 'name'", ":name")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("name", "values", "why"),
    [
        ("unit", range(ROWS), "counts the rows"),
        ("unit", range(1, ROWS + 1), "counts the rows"),
        ("image_id", RNG.permutation(ROWS), "is named like"),
        ("Index", RNG.permutation(ROWS), "is named like"),
        ("Unnamed: 0", RNG.permutation(ROWS) + 5, "is named like"),
        ("label", RNG.integers(0, 3, ROWS), "is named like"),
    ],
)
def test_an_index_is_not_taken_for_a_unit(tmp_path, suffix, name, values, why):
    path = table(tmp_path / f"x.{suffix}", FRAME.assign(**{name: values}))
    refused(path, rf"x\.{suffix}: column '{name}' {why}.*; it would be taken for a unit\. Fix: if")
    assert read_arrays(str(path), f":{name}").layers["x"].shape == (3,)
    # what is named is asked for
    assert len(read_arrays(f"{path}:{name}")) == ROWS


def test_numbers_with_other_names_or_values_stay_units(tmp_path):
    frame = FRAME.assign(grid=RNG.integers(0, 9, ROWS), pixel_id=X[:, 0] / 3)
    assert read_arrays(str(table(tmp_path / "x.csv", frame))).layers["x"].shape == (5,)
    plain = table(tmp_path / "n.csv", pd.DataFrame(X))  # named 0, 1, 2
    assert read_arrays(str(plain)).layers["n"].shape == (3,)
    whole = FRAME.assign(id=RNG.permutation(ROWS).astype(float))
    refused(table(tmp_path / "f.parquet", whole), r"column 'id' is named like an index")
    order = FRAME.sample(frac=1, random_state=0)
    kept = read_arrays(str(table(tmp_path / "i.parquet", order)), ":__index_level_0__")
    assert kept.ids.tolist() == [str(row) for row in order.index]
    assert read_arrays(f"{tmp_path}/i.parquet").layers["i"].shape == (3,)
    order.to_csv(tmp_path / "i.csv")
    refused(tmp_path / "i.csv", r"column 'Unnamed: 0' is named like an index")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_missing_value_names_row_and_column(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr("kc.comparison.csv_files.BLOCK", 28)
    monkeypatch.setattr("kc.comparison.parquet_files.MOST", 7)
    for value in (np.nan, np.inf):
        frame = NAMED.copy()
        frame.loc[17, "v"] = value
        refused(table(tmp_path / f"x.{suffix}", frame), r"column 'v' has no number in row 17 \(row")
    frame = FRAME.assign(v=True)
    refused(
        table(tmp_path / f"x.{suffix}", frame), r"column 'v' (is bool|holds true and false); ex"
    )
    words = NAMED[["name"]]
    refused(table(tmp_path / f"x.{suffix}", words), r"no numbers in name; expected columns of numb")
    refused(table(tmp_path / f"x.{suffix}").with_name(f"x.{suffix}:q"), r"no column 'q' in it; the")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", r"is empty; expected a header line and columns separated by commas"),
        ("a;b\n1;2\n", r"seems to have its columns separated by ';'; expected"),
        (
            "0.5,1.5\n1,2\n",
            r"its first line holds numbers \(0\.5, 1\.5\), so .* no header",
        ),
        ("3,1\n1,2\n", r"its first line holds numbers \(3, 1\)"),
        ("a,a\n1,2\n", r"two columns are called 'a'"),
        (
            "a,b\n1,2\n1,2,3\n",
            r"not readable as \.csv \(ParserError.*as many values in each row",
        ),
        ("a,b\n1,2,3\n1,2,3\n", r"not readable as \.csv \(ParserWarning"),
        ("a,b\n1,2\n3\n", r"column 'b' has no number in row 1"),
        ("a,b\n1,2\n3,4\n5,6.7.8\n", r"column 'b' holds numbers, but '6\.7\.8' in row 2"),
        ("a,b\n", r"no numbers in a, b"),
    ],
)
def test_an_invalid_csv_is_refused(tmp_path, content, told):
    refused(text(tmp_path / "x.csv", content), rf"x\.csv: {told}")


def test_a_csv_in_another_encoding_is_refused(tmp_path):
    (tmp_path / "x.csv").write_bytes("a,b\n1,é\n".encode("latin1"))
    refused(tmp_path / "x.csv", r"not readable as text in UTF-8 .*Fix: iconv -f LATIN1")
    (tmp_path / "x.csv").write_bytes(b"\xef\xbb\xbfa,b\n1,2\n3,9\n")
    assert list(read_arrays(f"{tmp_path}/x.csv:a").layers) == ["a"]


def lists(path, **columns):
    pq.write_table(pa.table(columns), path, row_group_size=20)
    return path


def test_a_column_of_lists_is_an_array_of_its_own(tmp_path):
    tokens = RNG.normal(size=(ROWS, 2, 3))
    halves = RNG.normal(size=(ROWS, 4)).astype(np.float16)
    fixed = pa.FixedSizeListArray.from_arrays(pa.array(halves.ravel()), 4)
    columns = {"emb": list(X), "tok": tokens.tolist(), "half": fixed, "u": X[:, 0], "name": NAMES}
    path = lists(tmp_path / "x.parquet", **columns)
    side = read_arrays(str(path), ":name")
    assert {name: layer.shape for name, layer in side.layers.items()} == {
        "emb": (3,), "half": (4,), "tok": (2, 3), "x": (1,),
    }  # fmt: skip
    assert side.arrays["half"].dtype == np.float16
    found = stored(path, tmp_path, memory_gb=1e-9)
    for name, expected in (("emb", X), ("tok", tokens.astype("f4")), ("half", halves)):
        np.testing.assert_array_equal(found[name], expected)
    clash = lists(tmp_path / "emb.parquet", emb=list(X), u=X[:, 0])
    refused(clash, r"a column is called 'emb', as the array of the other columns would be")
    assert read_arrays(f"{clash}:emb").layers["emb"].shape == (3,)


def test_lists_of_different_lengths_are_refused(tmp_path):
    path = tmp_path / "x.parquet"
    for values in ([[1.0, 2.0], [1.0]], [[1.0, 2.0], None]):
        refused(lists(path, e=values), r"lists of column 'e' differ in length, first in row 1; exp")
    holed = pa.array([[1.0, 2.0], None], pa.list_(pa.float64(), 2))
    refused(lists(path, e=holed), r"lists of column 'e' differ in length, first in row 1")
    groups = [[1.0, 2.0]] * 20 + [[1.0]] * 20
    refused(lists(path, e=groups), r"lists of column 'e' differ in length")
    refused(lists(path, e=[[1.0, 2.0], [None, 1.0]]), r"column 'e' has no number in row 1")


def test_an_unreadable_parquet_is_refused(tmp_path, monkeypatch):
    path = table(tmp_path / "x.parquet", write_page_checksum=True)
    whole = path.read_bytes()
    path.write_bytes(whole[:-50])
    refused(path, r"x\.parquet: not readable as Parquet \(ArrowInvalid.*Fix: copy it again")
    flipped = bytearray(whole)
    flipped[100] ^= 1
    path.write_bytes(flipped)
    refused(path, r"x\.parquet: not readable as Parquet \(OSError: could not verify page")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    refused(path, r"x\.parquet: reading Parquet needs pyarrow, .*Fix: .*pip install pyarrow")
