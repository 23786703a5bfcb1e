"""The page of the workflow shows every file of every study with its caption."""

from pathlib import Path

import pytest

from kc.plans.outputs import outputs_of
from kc.plans.registry import STUDIES
from kc.plans.studies import plans
from kc.settings.load import read_settings
from kc.settings.whole import Settings
from kc.steps import page as overview

ROOT = Path(__file__).parents[2]


def shown(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> dict:
    given: dict = {}

    def write_page(folder: Path, **told: object) -> None:
        given.update(told, folder=folder)

    monkeypatch.setattr(overview, "write_page", write_page)
    overview.write_overview(settings)
    return given


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings([ROOT / "config.yaml"], {"results": str(tmp_path)})


def test_every_study_with_all_tables_and_figures_is_on_the_page(monkeypatch, settings: Settings):
    sections = {section.name: section for section in shown(monkeypatch, settings)["sections"]}
    assert list(sections) == list(STUDIES)
    for study, section in sections.items():
        made = outputs_of(settings, study, plans(settings)[study])
        tables = {f"tables/{stem.name}.csv" for stem in section.written}
        assert {stem.name for stem in section.details} == set(STUDIES[study].details)
        figures = {f"figures/{drawing.stem.name}.png" for drawing in section.figures}
        assert tables == {name for name in made if name.endswith(".csv")}
        assert figures == {name for name in made if name.endswith(".png")}
        assert tables | figures
        assert (section.title, section.about) == (STUDIES[study].title, STUDIES[study].caption)
        captions = [drawing.caption for drawing in section.figures]
        assert len(set(captions)) == len(captions)
        assert all(len(caption) > 20 for caption in captions)


def test_every_kept_fit_has_one_view(monkeypatch, settings: Settings):
    views = shown(monkeypatch, settings)["views"]
    kept = {fit.name for plan in plans(settings).values() for fit in plan.fits if fit.keep}
    assert {view.name for view in views} == kept
    assert len(views) == len(kept) > 5
    seen = next(view for view in views if view.name.endswith("conv5-to-layer2.3.add"))
    assert seen.pair == "birds-alexnet-seed0 → birds-resnet34-seed0"
    assert seen.layer == "conv5 → layer2.3.add"
    ends = "x*: layer2.3.add of birds-resnet34-seed0; x: conv5 of birds-alexnet-seed0."
    assert ends in seen.about
    assert "Used in: Diagnosis" in seen.about
    assert seen.images == settings.results / "images" / "birds.json"


def test_without_components_there_is_no_view(monkeypatch, settings: Settings):
    none = settings.consistency.model_copy(update={"components": "none"})
    given = shown(monkeypatch, settings.model_copy(update={"consistency": none}))
    assert given["views"] == []
    assert given["folder"] == settings.results / "report"
