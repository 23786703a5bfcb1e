"""The workflow as a user runs it, on a data set that takes seconds, in a copy of the project."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kc import provenance
from kc.activations import open_store
from kc.cli.main import app

ROOT = Path(__file__).parents[2]
TINY = """
results: out
datasets: {birds: {size: 32, generated: {classes: 3, images_per_class: 20, canvas: 48}}}
networks: {resnet18: {width: 0.125}}
training: {epochs: 4, batch_size: 8, learning_rate: 0.01}
activations: {shard_rows: 8}
consistency: {order: 1, optimiser: {epochs: 2, batch_size: 8}}
stability: {layers: {resnet18: [last_conv]}, seeds: [0, 1], half_splits: 0, half_images: false}
"""
RULES = ("images", "train_birds-resnet18", "record_birds-resnet18", "fit_", "stability")


class Project:
    """A copy of the project, and a folder elsewhere that results are written to."""

    def __init__(self, root: Path, elsewhere: Path) -> None:
        self.root, self.elsewhere = root, elsewhere
        self.traced = elsewhere / "traced"

    def run(self, *arguments, **environment):
        command = [
            *(sys.executable, "-m", "snakemake", *arguments, "--directory", str(self.elsewhere)),
            *("--snakefile", str(self.root / "Snakefile"), "--configfile", "tiny.yaml"),
        ]
        environment = os.environ | {"OMP_NUM_THREADS": "1"} | environment
        done = subprocess.run(
            command, cwd=self.root, capture_output=True, text=True, env=environment, check=False
        )
        text = done.stdout + done.stderr
        assert done.returncode == 0, text
        return text

    def jobs(self, *arguments):
        """Tell which of the rules a dry run would run."""
        lines = self.run("stability", "-n", *arguments).splitlines()
        named = [line.split()[1].rstrip(":") for line in lines if line.startswith("rule ")]
        return [rule for rule in RULES if any(name.startswith(rule) for name in named)]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    root = tmp_path_factory.mktemp("project")
    for name in ("kc", "workflow", "envs"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / name, root / name)
    (root / "profiles").symlink_to("workflow/profiles")
    (root / "tiny.yaml").write_text(TINY)
    made = Project(root, tmp_path_factory.mktemp("elsewhere"))
    made.traced.mkdir()
    tracer = {"KC_TRACED": str(made.traced), "PYTHONPATH": str(Path(__file__).parent / "traced")}
    made.text = made.run("stability", "--cores", "2", **tracer)
    return made


def tables(project, results="out"):
    folder = project.elsewhere / results / "tables"
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.suffix != ".json"}


def test_a_run_makes_every_product_in_the_folder_asked_for(project):
    for name in ("images/birds.json", "networks/birds-resnet18-seed1/card.json"):
        assert (project.elsewhere / "out" / name).is_file()
    assert {"table1.csv", "table2.md", "networks.tex"} <= set(tables(project))
    assert not (project.root / "out").exists()
    seconds = json.loads((project.elsewhere / "out/tables/table1.json").read_text())["seconds"]
    assert seconds["networks"] > 0


ENTRIES = {
    "build.py": "kc.steps.images",
    "train.py": "kc.steps.networks",
    "record.py": "kc.steps.activations",
    "fit.py": "kc.steps.fits",
    "study.py": "kc.studies.stability.table",
}
WITHOUT_NUMBERS = {"kc.steps.job", "kc.runtime"}
"""Modules that scripts use beside the step they call."""


@pytest.mark.parametrize("script", ENTRIES)
def test_all_code_that_a_step_runs_is_in_its_hash(project, script):
    ran = set()
    for path in project.traced.glob(f"*{script}-*"):
        for line in path.read_text().splitlines():
            parts = Path(line).relative_to(project.root).with_suffix("").parts
            ran.add(".".join(parts).removesuffix(".__init__"))
    counted = provenance._closure(ENTRIES[script])
    assert len(ran) > 5
    left = {module for module in ran - counted - WITHOUT_NUMBERS if provenance.counts(module)}
    assert left == set()


def test_the_table_explains_itself(project, monkeypatch):
    monkeypatch.chdir(project.elsewhere)
    found = CliRunner().invoke(app, ["explain", "out/tables/table1.csv"])
    assert found.exit_code == 0, found.output
    assert "generated pictures of birds" in found.output


def test_a_second_run_does_nothing(project):
    assert "Nothing to be done" in project.run("stability", "--cores", "2")


def test_the_profile_beside_the_snakefile_is_in_force(project):
    # without its cores a run is refused
    assert "Nothing to be done" in project.run("stability")


def test_snakemakes_report_shows_tables_and_figures(project):
    project.run("stability", "--report", str(project.elsewhere / "report.html"))
    page = (project.elsewhere / "report.html").read_text()
    assert "table1.csv" in page
    assert "Instability of training" in page


@pytest.mark.parametrize(
    ("module", "addition", "again"),
    [
        ("kc/datasets/cub.py", "# a comment changes nothing\n", []),
        ("kc/report/tables.py", "LIMIT = 1\n", ["stability"]),
        ("kc/consistency/variance.py", "LIMIT = 1\n", ["fit_", "stability"]),
        ("kc/activations/record.py", "LIMIT = 1\n", list(RULES[2:])),
        ("kc/networks/train.py", "LIMIT = 1\n", list(RULES[1:])),
        ("kc/datasets/cub.py", "LIMIT = 1\n", list(RULES)),
    ],
)
def test_editing_a_module_reruns_what_depends_on_it(project, module, addition, again):
    path = project.root / module
    before = path.read_text()
    path.write_text(before + addition)
    try:
        assert project.jobs() == again
    finally:
        path.write_text(before)


@pytest.mark.parametrize(
    ("setting", "again"),
    [
        ("stability={half_images: false}", []),
        ("cluster={networks: {mem_mb: 900, minutes: 9}}", []),
        ("consistency={penalty: 0.2}", ["fit_", "stability"]),
        ("activations={batch_size: 4}", list(RULES[2:])),
        ("training={epochs: 3}", list(RULES[1:])),
    ],
)
def test_changing_a_setting_reruns_what_depends_on_it(project, setting, again):
    assert project.jobs("--config", setting) == again


def test_a_changed_setting_never_passes_the_old_store_on(project):
    """As after a kill between the last shard and the manifest."""
    results = shutil.copytree(project.elsewhere / "out", project.elsewhere / "killed")
    manifest = results / "activations" / "birds-resnet18-seed0.json"
    before = open_store(manifest)["layer3.1.add"].kc_dtype
    for path in results.glob("activations/*.json"):
        path.unlink()
    target = str(manifest.relative_to(project.elsewhere))
    setting = ("--config", "results=killed", "activations={dtype: float32}")
    project.run(target, "--cores", "2", *setting)
    assert before == "float16"
    assert open_store(manifest)["layer3.1.add"].kc_dtype == "float32"


def test_a_scattered_recording_gives_the_store_of_a_single_job(project):
    results = shutil.copytree(project.elsewhere / "out", project.elsewhere / "scattered")
    shutil.rmtree(results / "activations")
    target = "scattered/activations/birds-resnet18-seed0.json"
    text = project.run(
        target, "--cores", "2", "--config", "results=scattered", "cluster={scatter: 3}"
    )
    assert "rule record_birds-resnet18-2-of-3" in text
    single, scattered = (
        open_store(project.elsewhere / name / "activations/birds-resnet18-seed0.json")
        for name in ("out", "scattered")
    )
    assert scattered.verify() == []
    assert scattered.digest == single.digest
    log = results / "logs/activations/birds-resnet18.log"
    assert "birds-resnet18-seed0: 0 of 8 shards to record" in log.read_text()


def test_the_same_seeds_make_the_same_tables_and_others_other_ones(project):
    project.run("stability", "--cores", "1", "--config", "results=again")
    assert tables(project, "again") == tables(project)
    project.run(
        "stability", "--cores", "2", "--config", "results=other", "stability={seeds: [3, 4]}"
    )
    for name, content in tables(project).items():
        assert tables(project, "other")[name] != content, name
