"""A new study is two files, a record and a module: the rest finds it through the record."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from zipfile import ZipFile

import pandas as pd
import pytest

from kc.plans.registry import STUDIES
from kc.settings.load import load_settings
from kc.settings.whole import Settings, json_schema

ROOT = Path(__file__).parents[2]
RECORD = '''
"""The record of `toy`: how bright pictures are."""

from kc.plans.study import Others, Study, StudyPlan
from kc.settings.sections import Name, Positive, StudySection


class Toy(StudySection):
    """Brightness of pictures."""

    dataset: Name = "birds"
    scale: Positive = 1.0


def _plan(about: Toy, _: Others) -> StudyPlan:
    return StudyPlan({}, inputs=(f"images/{about.dataset}.json",))


STUDY = Study(
    name="toy",
    place=200,
    title="A toy",
    caption="How bright the pictures are that are stored.",
    settings=Toy,
    plan=_plan,
    tables=("toy",),
)
'''
MODULE = '''
"""How bright pictures are."""

import pandas as pd

from kc.images import open_images
from kc.plans.records.toy import Toy
from kc.plans.studies import plan_of
from kc.report.tables import TableText, write_table
from kc.settings.whole import Settings
from kc.studies.origin import origin


def write(settings: Settings) -> None:
    """Write ``tables/toy`` under the results folder."""
    about = settings.of(Toy)
    images = open_images(settings.results / "images" / f"{about.dataset}.json")["image"]
    write_table(
        pd.DataFrame({"mean": [float(images[:].mean()) * about.scale]}),
        settings.results / "tables" / "toy",
        TableText(title="Brightness", caption="Mean over all pictures.", notes=[]),
        provenance=origin(settings, "toy", plan_of(settings, "toy")),
    )
'''
TINY = """
results: out
datasets: {birds: {size: 16, generated: {classes: 2, images_per_class: 4, canvas: 32}}}
toy: {scale: 2.0}
"""
ASKED = """
import json
from kc.errors import SettingsError
from kc.plans.outputs import outputs_of
from kc.plans.registry import STUDIES
from kc.plans.studies import plan_of
from kc.provenance import plain
from kc.settings.load import load_settings
from kc.settings.whole import json_schema
from kc.steps import page

faults = []
for section in ({"scael": 2}, {"dataset": "brids"}):
    try:
        plan_of(load_settings({"toy": section}), "toy")
    except SettingsError as error:
        faults.append(str(error))
settings = load_settings({"toy": {"scale": 3}})
plan = plan_of(settings, "toy")
section = page._section(settings, "toy", plan)
print(json.dumps({
    "studies": list(STUDIES),
    "faults": faults,
    "scale": settings.toy.scale,
    "outputs": outputs_of(settings, "toy", plan),
    "page": [section.name, section.title, section.about, [stem.name for stem in section.tables]],
    "schema": json.loads(json_schema()),
    "told": {name: plain(settings.told(name)) for name in STUDIES},
}))
"""


class Copy:
    """A copy of the project with one more study, and a folder for results."""

    def __init__(self, root: Path, elsewhere: Path) -> None:
        self.root, self.elsewhere = root, elsewhere
        for name in ("kc", "workflow", "envs"):
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("Snakefile", "config.yaml"):
            shutil.copy(ROOT / name, root / name)
        (root / "profiles").symlink_to("workflow/profiles")
        (root / "kc/plans/records/toy.py").write_text(dedent(RECORD))
        (root / "kc/studies/toy.py").write_text(dedent(MODULE))
        (root / "tiny.yaml").write_text(TINY)

    def run(self, *command: str) -> str:
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(self.root)}
        done = subprocess.run(
            [sys.executable, *command], cwd=self.root, capture_output=True, text=True,
            env=environment, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def snakemake(self, *arguments: str) -> str:
        return self.run(
            *("-m", "snakemake", *arguments, "--cores", "1", "--directory", str(self.elsewhere)),
            *("--configfile", "tiny.yaml"),
        )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    return Copy(tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("elsewhere"))


@pytest.fixture(scope="module")
def asked(copy: Copy) -> dict:
    return json.loads(copy.run("-c", ASKED))


def test_settings_have_its_section_and_refuse_what_it_does_not_know(asked: dict):
    assert asked["studies"] == [*STUDIES, "toy"]
    assert asked["scale"] == 3
    key, dataset = asked["faults"]
    assert "toy.scael: unknown key, did you mean 'scale'?" in key
    assert dataset.startswith("toy.dataset 'brids' is not among datasets, did you mean 'birds'?")
    schema, known = asked["schema"], json.loads(json_schema())
    assert schema["$defs"].pop("Toy")["properties"]["scale"]["exclusiveMinimum"] == 0
    assert schema["properties"].pop("toy")["$ref"] == "#/$defs/Toy"
    assert schema == known


def test_page_and_lists_of_files_have_it(asked: dict):
    assert asked["outputs"] == [f"tables/toy.{suffix}" for suffix in ("csv", "md", "tex", "json")]
    caption = "How bright the pictures are that are stored."
    assert asked["page"] == ["toy", "A toy", caption, ["toy"]]


def test_jobs_of_other_studies_get_the_same_settings_as_before(asked: dict):
    mine = load_settings({})
    assert "toy" in asked["told"]["toy"]
    for name, study in STUDIES.items():
        if not study.beside_others:
            assert asked["told"][name] == json.loads(json.dumps(mine.told(name)))


def test_the_whole_workflow_has_a_job_for_it(copy: Copy):
    text = copy.snakemake("--dry-run")
    jobs = {line.split()[0] for line in text.splitlines() if line.strip()}
    assert {*STUDIES, "toy", "report", "all"} <= jobs


@pytest.mark.long
def test_it_is_a_target_whose_table_is_made(copy: Copy):
    text = copy.snakemake("toy", "--quiet", "rules")
    assert "rror" not in text
    folder = copy.elsewhere / "out" / "tables"
    (mean,) = pd.read_csv(folder / "toy.csv")["mean"]
    assert 2 < mean < 2 * 255
    origin = json.loads((folder / "toy.json").read_text())
    assert (origin["study"], origin["settings"]["toy"]["scale"]) == ("toy", 2)
    copy.snakemake("toy", "--report", "report.zip")
    with ZipFile(copy.elsewhere / "report.zip") as file:
        pages = [file.read(name) for name in file.namelist() if name.endswith("report.html")]
    assert "<p>How bright the pictures are that are stored.</p>" in b"".join(pages).decode()


def test_settings_are_one_class_for_reader_and_type_checker():
    settings = load_settings({})
    assert type(settings) is Settings
    for name, study in STUDIES.items():
        assert settings.of(study.settings) is settings.section(name) is getattr(settings, name)
