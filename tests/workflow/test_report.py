"""Snakemake's own report: each table and figure under its study, with a caption."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from jinja2 import Template
from snakemake.api import SnakemakeApi
from snakemake.settings.types import ConfigSettings, OutputSettings, Quietness, ResourceSettings

from kc.plans.outputs import outputs_of
from kc.plans.registry import STUDIES
from kc.plans.studies import plans
from kc.settings.load import read_settings

ROOT = Path(__file__).parents[2]
CUSTOM = Path("workflow", "report", "custom.rst")
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


def rendered(rule, caption: Path) -> str:
    """Render a caption as Snakemake's report does."""
    told = SimpleNamespace(rule=rule.name, config=rule.module_globals["config"])
    return Template(caption.read_text()).render(snakemake=told).strip()


@pytest.mark.parametrize("study", STUDIES)
def test_every_table_and_figure_has_a_caption_and_a_category(rules, study: str):
    settings = read_settings([ROOT / "config.yaml", SMOKE])
    made = outputs_of(settings, study, plans(settings)[study])
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
        assert caption == ROOT / "workflow" / "report" / "study.rst"
        assert rendered(rules[study], caption) == STUDIES[study].caption


def test_each_study_has_its_own_caption():
    texts = [*(study.caption for study in STUDIES.values()), (ROOT / CUSTOM).read_text()]
    assert len(set(texts)) == len(texts)
    assert all(len(text.split()) > 8 for text in texts)
    titles = [study.title for study in STUDIES.values()]
    assert len(set(titles)) == len(titles)
