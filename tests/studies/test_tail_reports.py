"""All files of the studies that read features, from a small real pipeline."""

import importlib
import json
from pathlib import Path

import pandas as pd
import pytest

from kc.plans.outputs import outputs_of
from kc.plans.studies import plan_of
from kc.settings.whole import Settings

STUDIES = ("diagnosis", "refinement", "redundancy", "orders")
TABLE = {"diagnosis": "diagnosis", "refinement": "table3", "redundancy": "table4"}


def fresh(settings: Settings, folder: Path, **changed: object) -> Settings:
    """Return a results folder with all inputs and no table."""
    for name in ("images", "networks", "activations", "fits", "components"):
        (folder / name).symlink_to(settings.results / name)
    return settings.model_copy(update={"results": folder} | changed)


def write(settings: Settings, study: str) -> None:
    importlib.import_module(f"kc.studies.{study}").write(settings)


def written(folder: Path) -> set[str]:
    made = [path for name in ("tables", "figures") for path in (folder / name).glob("*")]
    return {str(path.relative_to(folder)) for path in made}


@pytest.mark.parametrize("study", STUDIES)
def test_the_files_are_those_the_rule_expects(tiny: Settings, tmp_path: Path, study: str):
    settings = fresh(tiny, tmp_path)
    write(settings, study)
    plan = plan_of(settings, study)
    assert written(tmp_path) == set(outputs_of(settings, study, plan))
    if study in TABLE:
        about = json.loads((tmp_path / "tables" / f"{TABLE[study]}.json").read_text())
        assert set(about["fits"]) == {fit.name for fit in plan.fits}
        assert set(about["networks"]) == {network.name for network in plan.networks}
        frame = pd.read_csv(tmp_path / "tables" / f"{TABLE[study]}.csv")
        assert {"features", "top1", "ci_low", "ci_high", "n", "paper"} <= set(frame.columns)
        single = pd.read_csv(tmp_path / "tables" / f"{TABLE[study]}_pairs.csv")
        assert len(single) == 2 * len(frame)  # two ordered pairs, or two seeds
        text = (tmp_path / "tables" / f"{TABLE[study]}.md").read_text()
        assert "bootstrap over test images, paired for gains" in text
        assert "pairs" in text
        assert "generated pictures (mix), 64 px" in text


@pytest.mark.parametrize("study", ["diagnosis", "orders"])
def test_without_components_nothing_is_drawn(tiny: Settings, tmp_path: Path, study: str):
    none = tiny.consistency.model_copy(update={"components": "none"})
    settings = fresh(tiny, tmp_path, consistency=none)
    write(settings, study)
    assert written(tmp_path) == set(outputs_of(settings, study, plan_of(settings, study)))
    drawn = {path.stem for path in (tmp_path / "figures").glob("*.png")}
    assert drawn == ({"diagnosis"} if study == "diagnosis" else set())


def test_the_diagnosis_says_what_it_can_test_and_what_is_resized(tiny: Settings, tmp_path: Path):
    none = tiny.consistency.model_copy(update={"components": "none"})
    write(fresh(tiny, tmp_path, consistency=none), "diagnosis")
    notes = json.loads((tmp_path / "tables" / "diagnosis.json").read_text())["shown"]["notes"]
    assert any(
        "resnet18 is more accurate than alexnet by" in note
        and "this run cannot test what the paper claims" in note
        for note in notes
    )
    assert any(
        "x_A is 32 x 6 x 6, x_B 32 x 4 x 4" in note and "resized bilinearly" in note
        for note in notes
    )
