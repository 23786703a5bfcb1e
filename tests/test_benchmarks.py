"""Common parts of the benchmarks: order of sides, ratios, stored rows. No time is asserted."""

import importlib
from pathlib import Path

import pytest

from benchmarks import __main__ as every
from benchmarks import compare
from benchmarks.compare import Ratio, Row, Target, Times, interleave, keep, table
from kc.store.files import read_json


@pytest.mark.long
def test_the_order_of_the_sides_alternates():
    seen: list[str] = []
    sides = {name: lambda name=name: seen.append(name) for name in "ab"}
    times = interleave(sides, 2, before=lambda: seen.append("-"), warm=1)
    assert "".join(seen) == "-a-b-b-a-a-b"
    assert [len(some) for some in times.seconds.values()] == [2, 2]  # the warm-up round is not kept


def test_ratios_are_computed_within_a_repeat():
    # a machine ten times as slow in the second repeat changes both sides but no ratio
    slow = {"a": [2.0, 20.0, 2.2], "b": [1.0, 10.0, 1.0]}
    ratio = Times(slow, slow).ratio("a", "b")
    assert ratio == Ratio([2.0, 2.0, 2.2], 2.0)
    assert Row("r", "a", "b", Target(at_most=2.1), ratio).median == 2.0


def test_rows_are_stored_by_name_and_a_missed_target_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(compare, "RESULTS", tmp_path)
    good = Row("1", "x", "y", Target(at_least=0.9), Ratio([0.95]))
    keep([good, good._replace(name="2", ratio=Ratio([0.8]))], load=0.1, device="cpu")
    path = keep([good._replace(ratio=Ratio([0.97, 0.93, 0.99]))], load=3.0, device="cpu")
    found = read_json(path)["rows"]
    assert found["1"]["ratio"]["median"] == 0.97
    assert (found["1"]["met"], found["2"]["met"]) == (True, False)
    assert (found["1"]["machine_was_busy"], found["2"]["machine_was_busy"]) == (True, False)
    lines = table(found).splitlines()
    cells = [[cell.strip() for cell in line.split("|")] for line in lines]
    assert cells[2][5:7] == ["0.97 (0.93 to 0.99)", "yes"]
    assert cells[3][5:7] == ["0.8 (0.8 to 0.8)", "NO"]


@pytest.mark.parametrize("name", [*every.NAMES, "entropy_path", "gpu", "long_fit"])
def test_every_benchmark_exists_and_runs_alone(name):
    module = importlib.import_module(f"benchmarks.{name}")
    assert callable(module.rows)
    assert 'if __name__ == "__main__":' in Path(str(module.__file__)).read_text()
