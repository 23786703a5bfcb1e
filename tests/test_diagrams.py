"""The pictures of the house and of the data's way are those of the code."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def diagrams():
    about = importlib.util.spec_from_file_location("diagrams", ROOT / "docs" / "diagrams.py")
    module = importlib.util.module_from_spec(about)
    about.loader.exec_module(module)
    return module


def test_the_pictures_are_those_of_the_code(diagrams):
    for name, picture in diagrams.pictures().items():
        kept = (ROOT / "docs" / "images" / name).read_text()
        assert kept == picture, f"{name} is old: python docs/diagrams.py"


def test_a_package_stands_above_all_it_imports(diagrams):
    rows, about = diagrams.house()
    place = {name: number for number, row in enumerate(rows) for name in row}
    assert place["cli"] <= place["steps"] < place["studies"] < place["store"] < place["errors"]
    assert all(about[name] for name in place)


def test_every_kind_of_job_is_read_by_a_later_one(diagrams):
    rows, edges = diagrams.way()
    assert rows[0] == ["images"]
    assert rows[-1] == ["report"]
    assert {("images", "train"), ("record", "fit"), ("study", "claims")} <= set(edges)


def test_words_are_broken_into_two_lines(diagrams):
    assert diagrams.wrapped("a " * 40, 10) == ["a a a a a", "a a a a a …"]
    assert diagrams.wrapped("short") == ["short"]
    assert diagrams.wrapped("") == []
