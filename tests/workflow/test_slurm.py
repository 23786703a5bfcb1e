"""The workflow through a real SLURM: jobs with and without a GPU, side by side; scancel, rerun.

Takes minutes, and installs SLURM: so only where ``KC_SLURM`` names a target of the smoke preset,
``stability`` or ``all`` (make slurm).
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.workflow.project import copy_project
from tests.workflow.slurm_cluster import Slurm, install

TARGET = os.environ.get("KC_SLURM", "stability")
FEWER = [] if TARGET == "all" else ["stability={seeds: [0, 1]}"]
# nothing is behind the node's GPUs
CONFIG = [
    "--configfile",
    "workflow/presets/smoke.yaml",
    "--config",
    "device=cpu",
    "jobs=network",
    *FEWER,
]
PRODUCTS = (
    "*.safetensors",
    "tables/*.[cmt]*",
    "figures/*.png",
    "*.zarr/**/*",
    "activations/*.json",
)
pytestmark = pytest.mark.timeout(3 * 3600 if TARGET == "all" else 2400)


@pytest.fixture(scope="module")
def cluster():
    if "KC_SLURM" not in os.environ:
        pytest.skip("KC_SLURM is not set: it names what is run through SLURM (make slurm)")
    reason = install()
    if reason:
        pytest.skip(reason)
    with Slurm() as slurm:
        yield slurm


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Return a copy of the project that does not change during the test."""
    return copy_project(tmp_path_factory.mktemp("project"))


class Run:
    """Snakemake, started in the background."""

    def __init__(self, project: Path, directory: Path, *arguments: str) -> None:
        # ends with us, should we be killed
        command = ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m", "snakemake", TARGET]
        command += ["--directory", str(directory)]
        self.results = directory / "results-smoke"
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(project)}
        self.log = directory.with_suffix(".log")
        with self.log.open("w") as out:
            self.process = subprocess.Popen(
                [*command, *CONFIG, *arguments],
                cwd=project,
                env=environment,
                stdout=out,
                stderr=out,
            )

    def end(self) -> tuple[int, str]:
        """Wait for its end; give exit code and what it printed."""
        return self.process.wait(), self.log.read_text()


def through_slurm(project, directory, *more):
    profile = ["--profile", str(project / "workflow/profiles/slurm")]
    quick = ["--slurm-init-seconds-before-status-checks", "6", "--latency-wait", "5"]
    return Run(project, directory, "cluster={scatter: 2}", *profile, *quick, *more)


class Cancelled(NamedTuple):
    """A run through SLURM of which one job was cancelled."""

    results: Path
    rule: str
    text: str
    together: list[dict[str, str]]
    """The fits that SLURM reported as running at the same time."""
    jobs: list[dict[str, str]]


@pytest.fixture(scope="module")
def local(project, cluster, tmp_path_factory):
    """Run without SLURM meanwhile: SLURM's jobs leave the cores idle for seconds."""
    run = Run(project, tmp_path_factory.mktemp("local"), "--cores", "1")
    yield run
    run.process.terminate()
    run.process.wait()


@pytest.fixture(scope="module")
def cancelled(project, cluster, local, tmp_path_factory):
    """Wait until two fits run side by side, cancel one, and let the others end."""
    directory = tmp_path_factory.mktemp("slurm")
    run = through_slurm(project, directory, "--retries", "0")
    fits = []
    while len(fits) < 2 and run.process.poll() is None:
        time.sleep(0.5)
        fits = [job for job in cluster.jobs() if is_fit(job) and job["JobState"] == "RUNNING"]
    assert len(fits) == 2, run.end()
    last = max(fits, key=lambda job: int(job["JobId"]))
    cluster.run("scancel", last["JobId"])
    code, text = run.end()
    assert code == 1, text
    rule = last["Comment"].removeprefix("rule_")
    return Cancelled(run.results, rule, text, fits, cluster.jobs())


def is_fit(job):
    return job["Comment"].startswith("rule_fit_")


def products(results):
    paths = {path for pattern in PRODUCTS for path in results.rglob(pattern) if path.is_file()}
    return {str(path.relative_to(results)): path.read_bytes() for path in sorted(paths)}


def test_jobs_ask_for_a_gpu_where_they_use_one_and_for_memory_and_time(cancelled):
    by_rule = {job["Comment"].removeprefix("rule_"): job for job in cancelled.jobs}
    images, train = by_rule["images_birds"], by_rule["train_birds-resnet18"]
    assert images["Partition"] == "cpu"
    assert "TresPerJob" not in images
    assert train["Partition"] == "gpu"
    assert train["TresPerJob"] == "gres:gpu:1"
    assert train["TimeLimit"] == "02:00:00"
    assert "mem=4000M" in train["TRES"]


def test_fits_of_different_pairs_run_side_by_side_each_on_its_gpu(cancelled):
    assert {job["GRES"] for job in cancelled.together} == {"gpu:1(IDX:0)", "gpu:1(IDX:1)"}


def test_a_cancelled_job_is_named_and_stops_only_what_needs_it(cancelled):
    assert f"Error in rule {cancelled.rule}:" in cancelled.text
    made = [path.parent.name for path in cancelled.results.glob("fits/*/card.json")]
    assert made
    assert not any(name.startswith(cancelled.rule.removeprefix("fit_") + "--") for name in made)
    states = {job["Comment"]: job["JobState"] for job in cancelled.jobs}
    assert states.pop(f"rule_{cancelled.rule}") == "CANCELLED"
    assert set(states.values()) == {"COMPLETED"}
    assert sum(name.startswith("rule_fit_") for name in states) >= 1


def test_a_rerun_completes_and_all_products_equal_those_of_a_run_without_slurm(
    project, cancelled, local
):
    before = len(cancelled.jobs)
    again = through_slurm(project, cancelled.results.parent)
    code, text = again.end()
    assert code == 0, text
    redone = [line.split()[1] for line in text.splitlines() if line.startswith("rule ")]
    assert f"{cancelled.rule}:" in redone
    assert len(redone) < before
    assert not any(name.startswith(("images", "train", "record")) for name in redone)
    code, text = local.end()
    assert code == 0, text
    plain, mended = products(local.results), products(cancelled.results)
    assert {name.split("/")[0] for name in plain} >= {"images", "networks", "fits", "tables"}
    assert plain.keys() == mended.keys()
    assert [name for name in plain if plain[name] != mended[name]] == []
