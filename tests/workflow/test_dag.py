import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def snakemake(*arguments, cwd=ROOT):
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "-n", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=environment)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.long
def test_the_default_plans_from_another_folder(tmp_path):
    code, text = snakemake("stability", "--directory", str(tmp_path))
    assert code == 0, text
    assert "train_birds-vgg16_bn" in text
    assert "Missing output files" in text


def test_the_paper_preset_passes_a_dry_run(tmp_path):
    preset = str(ROOT / "workflow" / "presets" / "paper.yaml")
    code, text = snakemake(
        "--directory", str(tmp_path), "--configfile", preset, "--config", "data_root=/data"
    )
    assert code == 0, text
    assert "train_birds-resnet34-half2b" in text
    # nothing but its own target fetches archives
    assert "download" not in text


@pytest.mark.long
def test_a_scattered_recording_has_one_job_for_each_part_and_one_that_gathers(tmp_path):
    arguments = ("stability", "--directory", str(tmp_path), "--config")
    code, text = snakemake(*arguments, "cluster={scatter: 4}")
    assert code == 0, text
    jobs = {line.split()[1] for line in text.splitlines() if line.startswith("rule record_")}
    parts = {f"record_birds-resnet34-{number}-of-4:" for number in range(4)}
    assert {job for job in jobs if "resnet34" in job} == parts | {"record_birds-resnet34:"}
    code, text = snakemake(*arguments, "cluster={scatter: 1}")
    assert "rule record_birds-resnet34:" in text
    assert "rule record_birds-resnet34-" not in text


@pytest.mark.parametrize(
    ("preset", "jobs"),
    [
        (
            "paper",
            [
                "images_cub",
                "train_concepts_det-resnet152-seed0-student-pretrained-fc2",
                "map_concepts_voc-",
            ],
        ),
        pytest.param(
            "subset",
            ["images_det", "train_concepts_det-vgg11-seed1", "map_concepts_voc-alexnet"],
            marks=pytest.mark.long,
        ),
    ],
)
def test_the_concepts_of_a_preset_pass_a_dry_run(preset, jobs, tmp_path):
    file = str(ROOT / "workflow" / "presets" / f"{preset}.yaml")
    given = ("--configfile", file, "--config", "data_root=/data")
    code, text = snakemake("concepts", "--directory", str(tmp_path), *given)
    assert code == 0, text
    for job in jobs:
        assert job in text
    # the paper has no fc3 on these two
    assert "det-resnet152-seed0-student-pretrained-fc3" not in text
    assert ("cub-resnet152-seed0-student-pretrained-fc3" in text) == (preset == "paper")
    assert "train_birds" not in text


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ("dataset: [animals, detz]", "dataset 'detz' is not among datasets; known: animals"),
        ("dataset_layers: {detz: [fc1]}", "dataset_layers 'detz' is not among datasets; known"),
        (
            "dataset_classes: {animal: [cat]}",
            "dataset_classes 'animal' is not among datasets, did you mean 'animals'? known",
        ),
    ],
)
def test_an_unknown_data_set_of_concepts_is_named(given, fault, tmp_path):
    code, text = snakemake(
        "concepts", "--directory", str(tmp_path), "--config", f"concepts={{{given}}}"
    )
    assert code != 0
    assert f"concepts.{fault}" in text


def test_a_wrong_key_is_one_clear_error(tmp_path):
    code, text = snakemake("--directory", str(tmp_path), "--config", "consistancy={order: 1}")
    assert code != 0
    assert "consistancy: unknown key, did you mean 'consistency'?" in text
