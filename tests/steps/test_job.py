"""Tests of the context in which the scripts of the workflow run."""

import subprocess
import sys
import textwrap

import pytest

OWNER = textwrap.dedent("""
    import sys, time
    from pathlib import Path
    from kc.steps.job import job
    from kc.store.lock import lock

    with job([sys.argv[1]]):
        held = lock(Path(sys.argv[2]))
        try:
            print("owns", flush=True)
            time.sleep(60)
        finally:
            held.close()
""")


def test_a_job_stopped_by_scancel_releases_its_locks_and_logs_it(tmp_path):
    log, lock = tmp_path / "log", tmp_path / "lock"
    command = [sys.executable, "-c", OWNER, str(log), str(lock)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as job:
        assert job.stdout.readline() == "owns\n"
        assert lock.read_text()
        job.terminate()
        _, errors = job.communicate(timeout=30)
    assert job.returncode == 1
    assert "stopped by signal SIGTERM" in errors
    assert "stopped by signal SIGTERM" in log.read_text()
    assert lock.read_text() == ""


def test_a_finished_job_logs_its_time_and_memory(tmp_path):
    script = (
        f"from kc.steps.job import job\nwith job(['{tmp_path / 'log'}']):\n"
        "    x = b'x' * (300 << 20)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    last = (tmp_path / "log").read_text().splitlines()[-1]
    assert "done in" in last
    assert 300 < int(last.split("peak memory ")[1].split()[0]) < 600


@pytest.mark.parametrize("threads", [1, 2])
def test_a_job_computes_on_the_cores_it_asked_for(threads):
    script = (
        "import os, torch; from kc.steps.job import job\n"
        f"with job(threads={threads}):\n"
        "    print(torch.get_num_threads(), os.environ['OMP_NUM_THREADS'])"
    )
    told = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert told.stdout.split() == [str(threads)] * 2


def test_a_log_is_not_written_through_a_link(tmp_path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "log").symlink_to(tmp_path / "mine")
    script = "import sys; from kc.steps.job import job\nwith job([sys.argv[1]]): pass"
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "log")], check=True)
    assert (tmp_path / "mine").read_text() == "mine"
    assert "done in" in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("raised", "code", "told"),
    [
        ("KCError('no \\x1b[2J such file')", 2, r"KCError: no \x1b[2J such file"),
        (
            "ValueError('x')",
            3,
            "ValueError: x (at kc/steps/job.py:",
        ),
        ("KeyboardInterrupt", 130, "interrupted; the same command again"),
    ],
)
def test_an_error_is_one_message_and_its_trace_is_in_the_log(tmp_path, raised, code, told):
    script = (
        "import sys; from kc.errors import KCError; from kc.steps.job import job\n"
        f"with job([sys.argv[1]]): raise {raised}"
    )
    log = tmp_path / "log"
    command = [sys.executable, "-c", script, str(log)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == code
    assert told in found.stderr
    assert "Traceback" not in found.stderr
    assert "Traceback" in log.read_text()
    assert "\x1b" not in log.read_text()
    assert (f"its trace, {log}" in found.stderr) == (code == 3)
