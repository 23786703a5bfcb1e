"""The time left is told from what jobs took so far."""

import logging

import pytest

from kc.estimates.time_left import RunJob, TimeLeft


class Run:
    """Events of a run, at times of our choice."""

    def __init__(self, jobs):
        self.now, self.said = 0.0, []
        self.handler = TimeLeft(jobs, self.said.append, lambda: self.now)

    def event(self, now, **about):
        self.now = now
        record = logging.makeLogRecord(about)
        self.handler.emit(record)


def test_jobs_to_come_take_what_jobs_of_their_kind_took_for_each_product():
    run = Run({1: RunJob("fit", 2), 2: RunJob("fit", 4), 3: RunJob("fit", 1)})
    run.event(0, jobs=[1])
    run.event(60, job_id=1)
    assert run.said == ["1 of 3 jobs done, about 2 min left"]  # (4 + 1) x 30 s
    run.event(60, jobs=[2])
    run.event(120, job_id=2)  # 15 s each
    assert run.said[1] == "2 of 3 jobs done, about 22 s left"


def test_jobs_side_by_side_share_the_time_but_the_longest_remains():
    run = Run({number: RunJob("fit", 1) for number in range(5)})
    run.event(0, jobs=[0, 1])
    run.event(100, job_id=0)
    assert run.handler.left() == (0 + 3 * 100) / 2
    run.event(100, job_id=1)
    run.event(100, jobs=[2, 3])
    run.event(150, job_id=2)
    assert run.handler.left() == pytest.approx(250 / 3)  # that of the job not yet begun


def test_other_messages_and_jobs_of_no_rule_are_left_alone():
    run = Run({1: RunJob("fit", 1)})
    run.event(0, msg="text")
    run.event(0, jobs=[7])
    run.event(0, job_id=7)
    run.event(5, jobs=[1])
    run.event(9, job_id=1)  # the last one: nothing is left
    assert run.said == []
