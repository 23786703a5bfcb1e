"""The workflow as a user runs it, on a data set that takes seconds, in a copy of the project."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from kc import provenance
from kc.activations import open_store
from kc.cli.main import app
from kc.store.files import read_json
from tests.workflow.project import copy_project

TINY = """
results: out
jobs: architecture
data_root: .
datasets:
  birds: {size: 32, generated: {classes: 3, images_per_class: 20, canvas: 48}}
  dogs: {size: 32, generated: {classes: 2, images_per_class: 4, canvas: 32}}
  objects: {size: 64, generated: {classes: 2, images_per_class: 4, canvas: 32}}
  others: {layout: det, size: 32, generated: {classes: 2, images_per_class: 4, canvas: 32}}
  mix: {size: 32}
  photos: {layout: folder, size: 32, archive: photos}
networks: {resnet18: {width: 0.125}, alexnet: {width: 0.0625, head_units: 8}}
training: {epochs: 4, batch_size: 8, learning_rate: 0.01}
activations: {shard_rows: 8}
consistency: {order: 1, optimiser: {epochs: 2, batch_size: 8}}
stability:
  layers: {resnet18: [last_conv]}
  seeds: [0, 1]
  half_splits: 0
  half_images: false
  controls: none
orders: {dataset: photos, layers: {resnet18: [last_conv]}}
concepts:
  dataset: objects
  architectures: [alexnet]
  layers: [fc1]
  dataset_classes: {objects: []}
  seeds: [0]
  images: 1
  training: {epochs: 1, checkpoints: [0, 1], above: {epochs: 1}}
"""
MADE = (
    "stability",
    "out/concepts/maps/objects-alexnet-seed0-teacher--fc1.json",
    *(f"out/images/{name}.json" for name in ("others", "mix", "photos")),
)
"""Targets of the run, at least one of each step; the page comes last."""
RULES = ("images", "train_birds-resnet18", "record_birds-resnet18", "fit_", "ladder_", "stability")


class Project:
    """A copy of the project, and another folder for results."""

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

    def planned(self, *arguments):
        """Return which rules a dry run would run."""
        lines = self.run(*arguments, "-n").splitlines()
        return {
            line.split()[1].rstrip(":")
            for line in lines
            if line.startswith(("rule ", "localrule "))
        }

    def jobs(self, *arguments):
        """Return which kinds of rules a dry run would run, for Tables 1 and 2."""
        named = self.planned("stability", *arguments)
        return [rule for rule in RULES if any(name.startswith(rule) for name in named)]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    root = copy_project(tmp_path_factory.mktemp("project"))
    (root / "tiny.yaml").write_text(TINY)
    made = Project(root, tmp_path_factory.mktemp("elsewhere"))
    made.traced.mkdir()
    write_photographs(made.elsewhere / "photos")
    tracer = {"KC_TRACED": str(made.traced), "PYTHONPATH": str(Path(__file__).parent / "traced")}
    made.text = made.run(*MADE, "--cores", "2", **tracer)
    return made


def write_photographs(folder):
    """Write pictures in class folders, in place of photographs."""
    random = np.random.default_rng(0)
    for number in range(12):
        file = folder / f"class{number % 2}" / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(file)


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


EDITS = {
    "a drawn car": ("kc/synthetic/vehicles.py", "", "LIMIT = 1\n"),
    "a dog's head": ("kc/synthetic/heads.py", "", "LIMIT = 1\n"),
    "pruning": ("kc/networks/prune.py", "", "LIMIT = 1\n"),
    "the reader of photographs": ("kc/datasets/folder.py", "", "LIMIT = 1\n"),
    "the reader of birds": ("kc/datasets/cub.py", "", "LIMIT = 1\n"),
    "the reader of lists in another process": ("kc/datasets/mat_child.py", "", "LIMIT = 1\n"),
    "g": ("kc/consistency/net.py", "", "LIMIT = 1\n"),
    "the optimiser": ("kc/consistency/optimise.py", "", "LIMIT = 1\n"),
    "a study's note": ("kc/studies/stability/notes.py", "", "LIMIT = 1\n"),
    "the page's style": ("kc/report/templates/page.css", "", "\nb { color: red }\n"),
    "a model of settings": ("kc/settings/concepts.py", "", "LIMIT = 1\n"),
    "an error": ("kc/errors.py", "", "LIMIT = 1\n"),
    "an error's text": ("kc/consistency/data.py", "Fix:", "Remedy:"),
    "a comment": ("kc/consistency/net.py", "", "# why\n"),
    "a docstring": ("kc/consistency/net.py", '"""', '"""Once more: '),
}
FITTED = "fit_.*|ladder_.*|titrate_.*|diagnosis|refinement|redundancy|known_difference|baselines"
AGAIN = {
    "a drawn car": "images_(objects|others|animals)",
    "a dog's head": "images_(dogs|objects|others|animals)",
    "pruning": "train_(?!concepts).*",
    "the reader of photographs": "images_photos",
    "the reader of birds": "images_birds",
    "the reader of lists in another process": "images_dogs",
    "g": FITTED,
    "the optimiser": FITTED,
    "a study's note": "stability",
    "the page's style": "report",
}
"""Rules whose jobs run again after an edit, besides those that read their products."""


@pytest.fixture(scope="module")
def counted(project):
    """What each rule hashes, reads and makes, and the rules whose hash each edit changes."""
    program, config = Path(__file__).with_name("counted.py"), project.root / "tiny.yaml"
    done = subprocess.run(
        [sys.executable, str(program), str(project.root), str(config)],
        cwd=project.elsewhere,
        env=os.environ | {"PYTHONPATH": str(project.root)},
        input=json.dumps(list(EDITS.values())),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    return told | {"changed": dict(zip(EDITS, told["changed"], strict=True))}


def makers(counted, targets):
    """Return the rules that make targets, each with the rules whose products it reads."""
    maker = {file: rule for rule, files in counted["output"].items() for file in files}
    found, waiting = {}, [maker.get(target, target) for target in targets]
    while waiting:
        rule = waiting.pop()
        found[rule] = {maker[file] for file in counted["input"][rule] if file in maker}
        waiting += found[rule] - set(found)
    return found


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_changes_the_hash_of_the_rules_that_count_it(counted, edit):
    again = {rule for rule in counted["counted"] if re.fullmatch(AGAIN.get(edit, ""), rule)}
    assert set(counted["changed"][edit]) == again
    assert bool(again) == (edit in AGAIN)


@pytest.mark.parametrize(
    "edit", ["the reader of photographs", pytest.param("the optimiser", marks=pytest.mark.long)]
)
def test_jobs_with_a_changed_hash_run_again_and_so_do_their_readers(project, counted, edit):
    file, old, new = EDITS[edit]
    path = project.root / file
    before = path.read_text()
    path.write_text(before.replace(old, new, 1) if old else before + new)
    try:
        planned = project.planned(*MADE)
    finally:
        path.write_text(before)
    made = makers(counted, MADE)
    expected = set(counted["changed"][edit])
    while more := {rule for rule in made if made[rule] & expected} - expected:
        expected |= more
    assert planned == expected & set(made)


@pytest.fixture(scope="module")
def page(project, counted):
    """The page with one study's table in place of the others."""
    results = shutil.copytree(project.elsewhere / "out", project.elsewhere / "paged")
    for name in counted["input"]["report"]:
        file = project.elsewhere / name.replace("out", "paged", 1)
        if not file.exists() and file.parent.name in ("tables", "figures"):
            file.parent.mkdir(exist_ok=True)
            shutil.copy(results / file.parent.name / f"table1{file.suffix}", file)
    tracer = {"KC_TRACED": str(project.traced), "PYTHONPATH": str(Path(__file__).parent / "traced")}
    settings = ("--config", "results=paged", "consistency={components: none}")
    project.run("paged/report/index.html", "--allowed-rules", "report", *settings, **tracer)
    return results / "report" / "index.html"


WITHOUT_NUMBERS = {"kc.steps.job", "kc.runtime"}
"""Modules that scripts use besides the step they call."""


def test_all_code_that_a_step_runs_is_in_its_hash(project, counted, page):
    assert "Stability" in page.read_text()
    ran = {}
    for path in project.traced.iterdir():
        # the page's template runs too: it counts as a file of its own
        for line in filter(re.compile(r"\.py$").search, path.read_text().splitlines()):
            parts = Path(line).relative_to(project.root).with_suffix("").parts
            module = ".".join(parts).removesuffix(".__init__")
            ran.setdefault(path.name.partition("@")[0], set()).add(module)
    assert {rule.partition("_")[0] for rule in ran} == {
        *("images", "train", "record", "fit", "ladder", "map", "stability", "report")
    }
    assert {
        f"images_{name}" for name in ("birds", "dogs", "objects", "others", "mix", "photos")
    } < set(ran)
    for rule, modules in ran.items():
        uncounted = modules - set(counted["counted"][rule]) - WITHOUT_NUMBERS
        assert {module for module in uncounted if provenance.counts(module)} == set(), rule
        assert len(modules) > 5


def test_the_table_explains_itself(project, monkeypatch):
    monkeypatch.chdir(project.elsewhere)
    found = CliRunner().invoke(app, ["explain", "out/tables/table1.csv"])
    assert found.exit_code == 0, found.output
    assert "generated pictures of birds" in found.output


def test_a_second_run_does_nothing_and_the_profile_beside_the_snakefile_is_in_force(project):
    # without the profile's cores a run is refused
    assert "Nothing to be done" in project.run("stability")


@pytest.mark.long
def test_snakemakes_report_shows_tables_and_figures(project):
    project.run("stability", "--report", str(project.elsewhere / "report.html"))
    page = (project.elsewhere / "report.html").read_text()
    assert "table1.csv" in page
    assert "Instability of training" in page


@pytest.mark.long
@pytest.mark.parametrize(
    ("module", "addition", "again"),
    [
        ("kc/report/tables.py", "LIMIT = 1\n", ["stability"]),
        ("kc/activations/record.py", "LIMIT = 1\n", list(RULES[2:])),
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
        pytest.param("stability={half_images: false}", [], marks=pytest.mark.long),
        ("cluster={networks: {mem_mb: 900, minutes: 9}}", []),
        ("consistency={penalty: 0.2}", ["fit_", "ladder_", "stability"]),
        pytest.param("activations={batch_size: 4}", list(RULES[2:]), marks=pytest.mark.long),
        pytest.param("training={epochs: 3}", list(RULES[1:]), marks=pytest.mark.long),
    ],
)
def test_changing_a_setting_reruns_what_depends_on_it(project, setting, again):
    assert project.jobs("--config", setting) == again


@pytest.mark.long
def test_a_changed_setting_never_reuses_the_old_store(project):
    """As after an interruption between the last shard and the manifest."""
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


@pytest.mark.long
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


@pytest.mark.long
def test_the_same_seeds_make_the_same_tables_and_others_other_weights(project):
    made = project.elsewhere / "out"
    shutil.copytree(made / "images", project.elsewhere / "again" / "images")
    project.run("stability", "--cores", "1", "--config", "results=again")
    assert tables(project, "again") == tables(project)
    cards = [made / f"networks/birds-resnet18-seed{seed}/card.json" for seed in (0, 1)]
    assert len({read_json(card)["digest"] for card in cards}) == 2
