"""Snakemake's own report: each table and figure under its study, with a caption."""

from pathlib import Path

import pytest
from snakemake.api import SnakemakeApi
from snakemake.settings.types import ConfigSettings, OutputSettings, Quietness, ResourceSettings

from kc.plans.outputs import concept_outputs, outputs_of
from kc.plans.studies import plans
from kc.settings.whole import STUDIES, read_settings

ROOT = Path(__file__).parents[2]
SMOKE = ROOT / "workflow" / "presets" / "smoke.yaml"


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory):
    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        workflow = api.workflow(
            resource_settings=ResourceSettings(cores=1),
            config_settings=ConfigSettings(configfiles=[SMOKE]),
            snakefile=ROOT / "Snakefile",
            workdir=tmp_path_factory.mktemp("elsewhere"),
        )._workflow
        yield {rule.name: rule for rule in workflow.rules}


@pytest.mark.parametrize("study", [*STUDIES, "concepts"])
def test_every_table_and_figure_has_a_caption_and_a_category(rules, study: str):
    settings = read_settings([ROOT / "config.yaml", SMOKE])
    made = (
        concept_outputs(settings)
        if study == "concepts"
        else outputs_of(settings, study, plans(settings)[study])
    )
    found = {
        str(file.relative_to(settings.results)): flag
        for file, flag in (
            (Path(output), output.flags.get("report")) for output in rules[study].output
        )
        if flag
    }
    assert set(found) == {name for name in made if name.endswith((".csv", ".png"))}
    for name, flag in found.items():
        assert flag.category == study
        assert flag.subcategory == name.split("/")[0]
        caption = Path(flag.caption.get_path_or_uri(secret_free=True))
        assert caption == ROOT / "workflow" / "report" / f"{study}.rst"
        assert len(caption.read_text().split()) > 8


def test_each_study_is_told_in_its_own_words():
    texts = {path.stem: path.read_text() for path in (ROOT / "workflow/report").glob("*.rst")}
    assert set(texts) == {*STUDIES, "concepts", "custom"}
    assert len(set(texts.values())) == len(texts)
