"""The workflow inside another one: rules with other names, settings laid over the default."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
THEIRS = """
DRAWN = {{"classes": 2, "images_per_class": 4, "canvas": 32}}
GIVEN = {{
    "results": "theirs",
    "datasets": {{"birds": {{"size": 32, "generated": DRAWN}}}},
    "stability": {{"layers": {{"resnet34": ["last_conv"]}}, "seeds": [0, 1]}},
}}

module kc:
    snakefile: "{root}/Snakefile"
    config: GIVEN

use rule * from kc as kc_*

rule mine:
    default_target: True
    input: "theirs/images/birds.json"
    output: "mine.json"
    shell: "cp {{input}} {{output}}"

onstart:
    kc.onstart()
"""


def snakemake(folder, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "1", *arguments],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("theirs")
    (folder / "Snakefile").write_text(THEIRS.format(root=ROOT))
    return folder


def test_a_rule_of_another_workflow_reads_what_the_module_made(theirs):
    told = snakemake(theirs)
    assert (theirs / "mine.json").read_bytes() == (theirs / "theirs/images/birds.json").read_bytes()
    assert "rule kc_images_birds" in told
    # onstart: the time left, and a note of the run for the fixes in errors
    assert "1 of 2 jobs done, about" in told
    assert (theirs / "theirs" / "logs" / "run.json").is_file()


def test_settings_are_laid_over_the_default(theirs):
    told = snakemake(theirs, "kc_stability", "-n")
    trained = {line.split()[0] for line in told.splitlines() if line.startswith("kc_train_")}
    # the seeds and architecture above; half-splits and the width of networks as by default
    assert {"kc_train_birds-resnet34-seed0", "kc_train_birds-resnet34-seed1"} <= trained
    assert not [name for name in trained if "vgg" in name]
    assert [name for name in trained if "half" in name]


def test_the_snakefile_in_the_folder_workflow_is_the_same():
    told = [
        snakemake(ROOT, "-n", "--config", "results=nothing-there", *more)
        for more in ((), ("--snakefile", "workflow/Snakefile"))
    ]
    jobs = [set(re.findall(r"^rule (\S+):", text, re.MULTILINE)) for text in told]
    assert len(jobs[0]) > 100
    assert jobs[0] - {"all"} == jobs[1] - {"everything"}
