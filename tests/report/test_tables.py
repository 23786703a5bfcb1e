"""Files of a table: csv with full precision, md and tex to read, json with the origin."""

import json
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from kc.errors import StoreError
from kc.report.tables import Column, TableText, write_table

FRAME = pd.DataFrame(
    {
        "layer": ["conv4_3", "a|b"],
        "mean": [1 / 3, 0.5],
        "ci_low": [0.1, float("nan")],
        "ci_high": [0.7, float("nan")],
        "n": [3, 2],
        "paper": [float("nan"), 0.196],
    }
)
NOTES = ["50 % of x_A & y < 3, {set} #1 \\ end~", "second"]


def written(stem: Path, frame: pd.DataFrame = FRAME) -> Path:
    write_table(
        frame,
        stem,
        TableText(title="A title", caption="What is shown.", notes=NOTES),
        provenance={"seconds": 1.5, "where": str(stem)},
        columns={"mean": Column("mean (%)", ".2f"), "ci_low": Column("", ".1f")},
    )
    return stem


def test_the_csv_keeps_every_bit_of_a_number(tmp_path: Path):
    stem = written(tmp_path / "deep" / "table")
    pd.testing.assert_frame_equal(pd.read_csv(stem.with_suffix(".csv")), FRAME, check_exact=True)


def test_markdown_has_digits_interval_units_and_notes(tmp_path: Path):
    text = written(tmp_path / "table").with_suffix(".md").read_text()
    lines = text.splitlines()
    assert lines[0] == "### A title"
    cells = [[cell.strip() for cell in line.split(" | ")] for line in lines[2:6]]
    assert [cell.strip("| ") for cell in cells[0]] == [
        "layer", "mean (%)", "95 % interval", "n", "paper",
    ]  # fmt: skip
    assert [cell.strip("| ") for cell in cells[2]] == ["conv4_3", "0.33", "[0.1, 0.7]", "3", ""]
    assert r"a\|b" in lines[5]
    assert "nan" not in text.lower()
    assert text.endswith("- second\n")


def test_a_column_without_values_is_only_in_the_csv(tmp_path: Path):
    stem = written(tmp_path / "table", FRAME.assign(paper=float("nan"), ci_low=float("nan")))
    assert "paper" in pd.read_csv(stem.with_suffix(".csv")).columns
    for suffix in (".md", ".tex"):
        assert "paper" not in stem.with_suffix(suffix).read_text()
    bare = written(tmp_path / "bare", FRAME.iloc[:0])
    assert "paper" in bare.with_suffix(".md").read_text()


def test_same_frame_gives_the_same_bytes_wherever_it_is_written(tmp_path: Path):
    a, b = written(tmp_path / "a" / "table"), written(tmp_path / "b" / "table")
    for suffix in (".csv", ".md", ".tex"):
        text = a.with_suffix(suffix).read_bytes()
        assert text == b.with_suffix(suffix).read_bytes()
        assert str(tmp_path).encode() not in text
    changed = written(tmp_path / "c" / "table", FRAME.assign(mean=FRAME["mean"] + 1e-15))
    assert changed.with_suffix(".csv").read_bytes() != a.with_suffix(".csv").read_bytes()


def test_latex_is_escaped(tmp_path: Path):
    text = written(tmp_path / "table").with_suffix(".tex").read_text()
    assert r"\toprule" in text
    assert r"conv4\_3" in text
    assert r"mean (\%)" in text
    assert r"50 \% of x\_A \& y \textless{} 3, \{set\} \#1 \textbackslash{} end" in text
    assert text.index(r"\end{table}") < text.index(r"\item{} second")
    assert r"\begin{tabular}{lrrrr}" in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex on this machine")
def test_latex_compiles(tmp_path: Path):
    written(tmp_path / "table")
    (tmp_path / "main.tex").write_text(
        "\\documentclass{article}\\usepackage{booktabs,adjustbox}\\begin{document}"
        "\\input{table.tex}\\end{document}"
    )
    run = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "main.tex"]
    assert subprocess.run(run, cwd=tmp_path, capture_output=True, check=False).returncode == 0


def test_a_spreadsheet_runs_no_name_and_the_json_has_the_original(tmp_path: Path):
    names = ["=1+1", "-1+1", "@x", "\tx", "'=1", "it's", "-1", "+2e3", "a=b", "a\rb\nc"]
    frame = pd.DataFrame({"class": names, "share": [-0.5, *range(9)], "text": ["-"] * 10})
    stem = tmp_path / "table"
    write_table(frame, stem, TableText("T", "", []), provenance={})
    raw = stem.with_suffix(".csv").read_text()
    found = pd.read_csv(stem.with_suffix(".csv"))
    assert list(found["class"]) == [
        *("'=1+1", "'-1+1", "'@x", "'\tx", "''=1", "it's", "-1", "+2e3", "a=b", "a\\rb\nc")
    ]
    assert "\n'-1+1," in raw
    assert list(found["share"]) == list(frame["share"])
    about = json.loads(stem.with_suffix(".json").read_text())["names_in_csv"]
    back = found["class"].map(lambda name: about.get(name, name))
    assert list(back) == names
    assert (
        "- Some names have an apostrophe before them in the csv"
        in stem.with_suffix(".md").read_text()
    )
    # a table without such names is as it ever was
    plain = written(tmp_path / "plain")
    assert plain.with_suffix(".csv").read_text() == FRAME.to_csv(index=False)
    assert "names_in_csv" not in json.loads(plain.with_suffix(".json").read_text())


def test_latex_prints_names_and_reads_none_as_an_argument(tmp_path: Path):
    frame = pd.DataFrame({"class": ["[red]", "*a", "a_b&c\nd", "~^\\x"], "share": [1, 2, 3, 4]})
    write_table(frame, tmp_path / "table", TableText("T", "", []), provenance={})
    lines = (tmp_path / "table.tex").read_text().splitlines()
    begin = lines.index(r"\midrule")
    assert lines[begin + 1 : begin + 5] == [
        r"{[}red] & 1 \\",
        r"{*}a & 2 \\",
        r"a\_b\&c\textbackslash{}nd & 3 \\",
        r"\textasciitilde{}\textasciicircum{}\textbackslash{}x & 4 \\",
    ]


def test_numbers_that_are_not_finite_are_valid_json(tmp_path: Path):
    origin = {"fits": {"a": [float("nan"), 1.5]}, "most": float("inf")}
    write_table(FRAME, tmp_path / "table", TableText("T", "", []), provenance=origin)
    found = json.loads(
        (tmp_path / "table.json").read_text(), parse_constant=lambda name: pytest.fail(name)
    )
    assert found["fits"] == {"a": [None, 1.5]}
    assert found["most"] is None


def test_the_origin_is_in_the_json_and_no_temporary_file_is_left(tmp_path: Path):
    stem = written(tmp_path / "table")
    assert json.loads(stem.with_suffix(".json").read_text())["seconds"] == 1.5
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["table.csv", "table.json", "table.md", "table.tex"]


def test_a_failed_write_leaves_the_old_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    stem = written(tmp_path / "table")
    old = stem.with_suffix(".md").read_text()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreError, match=r"table.csv: no space left on the disk"):
        written(stem, FRAME.head(1))
    assert stem.with_suffix(".md").read_text() == old


def test_no_notes_leave_no_empty_list(tmp_path: Path):
    stem = tmp_path / "table"
    write_table(FRAME, stem, TableText(title="T", caption="", notes=[]), provenance={})
    assert "itemize" not in stem.with_suffix(".tex").read_text()
    assert stem.with_suffix(".md").read_text().count("\n\n") == 1
