"""A run on more cores is simulated from the times of its jobs."""

from pathlib import Path

import pytest

from kc.errors import StoreError
from kc.estimates.schedule import START, Job, read_jobs, simulate

DIAMOND = {
    "images": Job(2, frozenset()),
    "a": Job(3, frozenset({"images"})),
    "b": Job(5, frozenset({"images"})),
    "c": Job(4, frozenset({"images"})),
    "table": Job(1, frozenset({"a", "b", "c"})),
}
GRAPH = """digraph snakemake_dag {
    0[label = "all", color = "0.00 0.6 0.85", style="rounded"];
    1[label = "stability", color = "0.56 0.6 0.85", style="rounded"];
    2[label = "fit_a--b", color = "0.56 0.6 0.85", style="rounded"];
    1 -> 0
    2 -> 1
}"""


@pytest.mark.parametrize(("cores", "seconds"), [(1, 15), (2, 10), (3, 8), (8, 8)])
def test_more_cores_help_until_the_longest_chain_is_all(cores, seconds):
    found = simulate(DIAMOND, cores)
    assert found.seconds == seconds
    assert found.work == 15
    assert found.chain == ["images", "b", "table"]
    assert found.chain_seconds == 8


def write(logs: Path, name: str, seconds: float) -> None:
    (logs / name).parent.mkdir(parents=True, exist_ok=True)
    text = f"INFO kc: process 1\nINFO kc: done in {seconds} s, peak memory 10 MB\n"
    (logs / name).write_text(text)


def test_jobs_are_read_from_the_graph_and_their_logs(tmp_path: Path):
    write(tmp_path, "stability.log", 3)
    write(tmp_path, "fits/a--b.log", 10)
    found = read_jobs(GRAPH, tmp_path)
    assert found == {
        "all": Job(0, frozenset({"stability"})),
        "stability": Job(3 + START, frozenset({"fit_a--b"})),
        "fit_a--b": Job(10 + START, frozenset()),
    }


def test_a_job_without_the_log_of_a_whole_run_is_named(tmp_path: Path):
    write(tmp_path, "stability.log", 3)
    (tmp_path / "fits").mkdir()
    (tmp_path / "fits" / "a--b.log").write_text("stopped")
    with pytest.raises(StoreError, match=r"no log of a finished job 'fit_a--b'; .*Fix: run"):
        read_jobs(GRAPH, tmp_path)
