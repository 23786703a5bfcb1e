"""The table of all claims: read from the tables that test them, counted, compared with a run."""

import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from kc.cli.main import app
from kc.errors import StoreError
from kc.plans.records.claims import Claims
from kc.plans.registry import STUDIES
from kc.report.tables import TableText, write_table
from kc.settings.load import load_settings
from kc.studies import claims
from kc.studies.intervals import over_groups
from kc.studies.verdicts import Claim, recorded

THREE = ["a", "b", "c"]
BETTER = Claim(
    "[P, Table 1]",
    "it is better",
    "gain in points",
    {
        "one": over_groups(THREE, [3.0, 3.1, 3.2]),
        "two": over_groups(THREE, [-1.0, 0.0, 1.3]),
        "three": over_groups(["a", "b"], [1.0, 2.0]),
    },
)
SOONER = Claim(
    "[P, Fig. 2]", "it is sooner", "seconds", {"one": over_groups(THREE, [-2.0, -2.1, -2.0])}
)


def table(folder: Path, name: str, *told: Claim) -> Path:
    frame = pd.DataFrame({"x": [1.0]})
    write_table(frame, folder / name, TableText(name, "", ()), provenance=recorded(told))
    return folder / name


def test_claims_are_read_from_the_tables_that_test_them(tmp_path: Path):
    stems = [table(tmp_path, "table9", BETTER), table(tmp_path, "plain")]
    found = claims.read_claims([*stems, table(tmp_path, "other", SOONER)])
    assert list(found["table"]) == ["table9"] * 3 + ["other"]
    assert list(found["verdict"]) == ["shows", "cannot tell", "cannot tell", "does not show"]
    assert list(found["case"]) == ["one", "two", "three", "one"]
    assert found["effect"].tolist() == pytest.approx([3.1, 0.1, 1.5, -6.1 / 3])
    assert found["n"].tolist() == [3, 3, 2, 3]
    # without an interval: no ends, and no smallest effect
    assert found.loc[2, ["ci_low", "ci_high", "smallest"]].isna().all()
    assert found.loc[1, "smallest"] == pytest.approx(BETTER.effects["two"].smallest)


def test_verdicts_are_counted_for_each_claim(tmp_path: Path):
    found = claims.counted(claims.read_claims([table(tmp_path, "t", BETTER, SOONER)]))
    assert found.drop(columns=["unit"]).to_dict("records") == [
        {"source": "[P, Table 1]", "claim": "it is better", "cases": 3}
        | {"shows": 1, "does not show": 0, "cannot tell": 2},
        {"source": "[P, Fig. 2]", "claim": "it is sooner", "cases": 1}
        | {"shows": 0, "does not show": 1, "cannot tell": 0},
    ]


def test_tables_without_claims_give_an_empty_table(tmp_path: Path):
    found = claims.read_claims([table(tmp_path, "plain")])
    assert found.empty
    assert claims.counted(found).empty


def test_a_missing_table_is_named(tmp_path: Path):
    with pytest.raises(StoreError, match=r"table7\.json: no such file"):
        claims.read_claims([tmp_path / "table7"])


def test_two_runs_say_which_verdicts_turned_and_whether_intervals_overlap(tmp_path: Path):
    other = Claim(
        BETTER.source,
        BETTER.says,
        BETTER.unit,
        {
            "one": over_groups(THREE, [3.15, 3.4, 3.6]),
            "two": over_groups(THREE, [5.0, 5.1, 5.2]),
            "three": over_groups(THREE, [1.0, 1.1, 1.2]),
            "only here": over_groups(THREE, [1.0, 1.1, 1.2]),
        },
    )
    both = [claims.read_claims([table(tmp_path, name, of)]) for name, of in
            (("a", BETTER), ("b", other))]  # fmt: skip
    found = claims.beside(*both).set_index("case")
    assert list(found.index) == ["one", "two", "three"]
    assert found["turned"].tolist() == [False, True, True]
    assert found["overlap"].tolist()[:2] == [True, False]
    assert found["overlap"].isna().tolist() == [False, False, True]
    assert found.loc["two", "other_effect"] == pytest.approx(5.1)
    assert found.loc["two", "other_verdict"] == "shows"
    assert not math.isnan(found.loc["three", "other_low"])


def test_the_study_writes_both_tables(tmp_path: Path):
    folder = tmp_path / "tables"
    table(folder, "t", BETTER)
    given = {"results": str(tmp_path), "claims": {"tables": ["t"]}}
    claims.write(load_settings(given))
    assert pd.read_csv(folder / "claims.csv")["shows"].tolist() == [1]
    assert len(pd.read_csv(folder / "claims_cases.csv")) == 3
    # the cases can be read as any table's
    again = claims.read_claims([folder / "claims_cases"])
    pd.testing.assert_frame_equal(again, claims.read_claims([folder / "t"]))
    assert "(t.975 + t.8) standard errors" in (folder / "claims.md").read_text()


def test_the_command_compares_two_runs(tmp_path: Path):
    higher = {"one": over_groups(THREE, [9.0, 9.1, 9.2]), "two": BETTER.effects["two"]}
    other = replace(BETTER, effects=higher)
    for name, told in (("a", BETTER), ("b", other)):
        table(tmp_path / name / "tables", "t", told)
        claims.write(load_settings({"results": str(tmp_path / name), "claims": {"tables": ["t"]}}))
    same = CliRunner().invoke(app, ["claims", str(tmp_path / "a"), str(tmp_path / "a")])
    assert same.exit_code == 0, same.output
    found = CliRunner().invoke(app, ["claims", str(tmp_path / "a"), str(tmp_path / "b")])
    assert found.exit_code == 1, found.output
    lines = found.output.splitlines()
    assert lines[0] == "[P, Table 1] it is better, one:"
    assert lines[1] == "  shows: +3.1 [+2.85, +3.35]"
    assert lines[2] == "  shows: +9.1 [+8.85, +9.35]; the intervals do not overlap"
    assert lines[5].startswith("  cannot tell: +0.1 [")
    assert lines[-1] == (
        "2 cases of both runs; verdicts that turned: 0; intervals that overlap: 1 of 2"
    )


def test_all_tables_of_claims_are_those_of_studies():
    made = {name for study in STUDIES.values() for name in study.tables}
    assert set(Claims().tables) <= made
