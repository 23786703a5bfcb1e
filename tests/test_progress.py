"""A bar on a terminal, lines elsewhere, nothing if it is to be quiet."""

import io
import logging
import sys

import pytest

from kc import progress
from kc.progress import progress_bar


class Terminal(io.StringIO):
    """A standard error that is a terminal."""

    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(progress, "AFTER", 0.0)
    monkeypatch.setattr(progress, "EVERY", 0.0)


def run(monkeypatch, stream):
    monkeypatch.setattr(sys, "stderr", stream)
    assert list(progress_bar([1, 2, 3, 4], desc="fit", unit="epoch")) == [1, 2, 3, 4]
    return stream.getvalue()


def test_a_terminal_has_a_bar(monkeypatch):
    assert "\rfit:   0%|" in run(monkeypatch, Terminal())


def test_elsewhere_each_state_is_a_line(monkeypatch):
    lines = run(monkeypatch, io.StringIO()).splitlines()
    assert [line.partition(" after")[0] for line in lines] == [
        f"fit: {share} %" for share in (0, 25, 50, 75, 100)
    ]
    assert lines[-1] == "fit: 100 % after 00:00, about 00:00 left"


def test_in_a_job_the_lines_are_in_its_log(monkeypatch, caplog):
    with caplog.at_level(logging.INFO, logger="kc"):
        assert run(monkeypatch, io.StringIO()) == ""
    assert caplog.messages[1].startswith("fit: 25 % after")


def test_quiet_work_has_none(monkeypatch, caplog):
    with caplog.at_level(logging.ERROR, logger="kc"):
        assert run(monkeypatch, Terminal()) == ""


def test_short_work_has_none(monkeypatch):
    monkeypatch.undo()
    assert run(monkeypatch, io.StringIO()) == ""
    assert run(monkeypatch, Terminal()) == ""
