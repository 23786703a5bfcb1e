"""One job of the workflow through a real SLURM: a minute, for CI; ``make slurm`` runs all of it.

Installs SLURM, so only where ``KC_SLURM_SHORT`` is set.
"""

import os
import subprocess
import sys

import pytest

from kc.images import open_images
from tests.workflow.project import copy_project
from tests.workflow.slurm_cluster import Slurm, install

TARGET = "results-smoke/images/birds.json"
pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif("KC_SLURM_SHORT" not in os.environ, reason="KC_SLURM_SHORT is not set"),
]


@pytest.fixture(scope="module")
def cluster():
    reason = install()
    if reason:
        pytest.skip(reason)
    with Slurm() as slurm:
        yield slurm


def test_a_rule_is_a_job_on_the_partition_of_its_profile(cluster, tmp_path):
    project = copy_project(tmp_path / "project")
    command = [
        *(sys.executable, "-m", "snakemake", TARGET, "--directory", str(tmp_path)),
        *("--configfile", "workflow/presets/smoke.yaml", "--config", "device=cpu"),
        *("--profile", str(project / "workflow/profiles/slurm"), "--latency-wait", "5"),
        *("--slurm-init-seconds-before-status-checks", "6"),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(project)}
    done = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr + cluster.log()
    (job,) = cluster.jobs()
    assert (job["Comment"], job["Partition"]) == ("rule_images_birds", "cpu")
    assert job["JobState"] == "COMPLETED"
    assert open_images(tmp_path / TARGET).verify() == []
