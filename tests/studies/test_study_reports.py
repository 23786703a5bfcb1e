"""All files of compression, born-again networks and two tasks, from fits whose shares are known."""

import importlib
import json
import re
from pathlib import Path

import pandas as pd
import pytest

from kc.errors import StoreError
from kc.plans.outputs import outputs_of
from kc.plans.products import FitPlan, NetworkPlan
from kc.plans.studies import plan_of
from kc.settings.load import load_settings
from kc.settings.whole import Settings
from kc.studies import chains
from tests.reference.written_components import names, noise, write_components, write_images
from tests.reference.written_fits import card_of, write_card, write_results

IMAGES = 6
DATASETS = {
    "birds": {},
    "dogs": {"layout": "dogs"},
    "mix": {"layout": "mixture", "parts": ["birds", "dogs"]},
}
STUDIES = ("compression", "born_again", "cross_task")


def share(fit: FitPlan, subset: str) -> float:
    found = 0.2 + fit.source.removed / 4 - fit.source.generation / 50 + fit.target.seed / 100
    return found + 0.3 * (fit.target.task == "superclass") - 0.02 * (subset == "train")


def top1(network: NetworkPlan) -> float:
    return 65.4 - 10 * network.removed + network.generation + network.seed


def settings_in(folder: Path, study: str, components: str = "test") -> Settings:
    settings = load_settings(
        {
            "results": folder,
            "datasets": DATASETS,
            "networks": {"vgg16_bn": {"width": 0.125}},
            "consistency": {"components": components},
            "pictures": {"filters": 1, "images": 1},
        }
    )
    plan = plan_of(settings, study)
    write_results(plan, folder, share, top1=top1)
    if components != "none":
        ids = names(IMAGES)
        write_images(plan.fits[0].target.dataset, folder, ids)
        for fit in plan.fits:
            if fit.keep:
                write_components(fit, folder, noise(IMAGES), ids)
    return settings


def write(settings: Settings, study: str) -> None:
    importlib.import_module(f"kc.studies.{study}").write(settings)


def written(folder: Path) -> set[str]:
    made = [path for name in ("tables", "figures") for path in (folder / name).glob("*")]
    return {str(path.relative_to(folder)) for path in made}


@pytest.mark.parametrize(
    "study",
    [
        pytest.param(name, marks=[] if name == "cross_task" else [pytest.mark.long])
        for name in STUDIES
    ],
)
def test_the_files_are_those_the_rule_expects_and_equal_when_written_again(
    tmp_path: Path, study: str
):
    for name in ("a", "b"):
        write(settings_in(tmp_path / name, study), study)
    settings = settings_in(tmp_path / "c", study)
    expected = outputs_of(settings, study, plan_of(settings, study))
    assert written(tmp_path / "a") == set(expected)
    assert sum(name.endswith(".png") for name in expected) > 1
    for name in expected:
        content = (tmp_path / "a" / name).read_bytes()
        assert len(content) > 100
        if not name.endswith(".json"):
            assert content == (tmp_path / "b" / name).read_bytes()
            assert str(tmp_path).encode() not in content


@pytest.mark.parametrize("study", STUDIES)
def test_without_components_no_picture_is_drawn_or_expected(tmp_path: Path, study: str):
    settings = settings_in(tmp_path, study, components="none")
    write(settings, study)
    expected = outputs_of(settings, study, plan_of(settings, study))
    assert written(tmp_path) == set(expected)
    assert len([name for name in expected if name.endswith(".png")]) == 1


@pytest.mark.parametrize("study", STUDIES)
def test_the_notes_explain_the_numbers(tmp_path: Path, study: str):
    write(settings_in(tmp_path, study, components="none"), study)
    text = (tmp_path / "tables" / f"{study}.md").read_text()
    dataset = "mix" if study == "cross_task" else "birds"
    assert f"generated pictures ({dataset}), 64 px" in text
    assert "vgg16_bn 0.125" in text
    assert "Means over chains of networks that share none" in text
    assert ("does not print which layer" in text) == (study != "compression")
    assert "Claim: " in text
    assert "(t.975 + t.8) standard errors" in text
    tex = (tmp_path / "tables" / f"{study}.tex").read_text()
    assert rf"\label{{tab:{study}}}" in tex


@pytest.mark.parametrize(
    ("study", "row"),
    [
        # removed, actually removed, s_conv, s_fc, ..., share, interval, n, train
        (
            "compression",
            "| 50.0% | 50.01% | 1 | 1.5 | vgg16_bn | conv4_3 | 0.315 | [0.291, 0.341] | 3 |",
        ),
        ("born_again", "| 1 | vgg16_bn | conv4_3 | 0.190 | [0.167, 0.217] | 3 | 0.170 | 0.95 |"),
        # reconstructed, its interval, train, share
        (
            "cross_task",
            "| b_from_a | vgg16_bn | conv4_3 | 0.510 | 0.485 | 0.534 | 0.530 | 0.490 |",
        ),
    ],
)
def test_the_first_row_equals_values_computed_by_hand(tmp_path: Path, study: str, row: str):
    write(settings_in(tmp_path, study, components="none"), study)
    lines = (tmp_path / "tables" / f"{study}.md").read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(("|:", "|-"))) + 1
    assert " ".join(lines[first].split()).startswith(row)


@pytest.mark.parametrize("study", STUDIES)
def test_origin_names_every_fit_and_network(tmp_path: Path, study: str):
    settings = settings_in(tmp_path, study, components="none")
    write(settings, study)
    about = json.loads((tmp_path / "tables" / f"{study}.json").read_text())
    plan = plan_of(settings, study)
    assert set(about["fits"]) == {fit.name for fit in plan.fits}
    assert set(about["networks"]) == {network.name for network in plan.networks}
    assert about["study"] == study
    assert about["devices"] == ["cpu"]


@pytest.mark.parametrize("study", STUDIES)
def test_a_missing_network_leaves_no_table(tmp_path: Path, study: str):
    settings = settings_in(tmp_path, study, components="none")
    network = plan_of(settings, study).networks[-1]
    (tmp_path / "networks" / network.name / "card.json").unlink()
    with pytest.raises(StoreError, match="expected the network"):
        write(settings, study)
    assert not (tmp_path / "tables").exists()


@pytest.mark.parametrize("study", STUDIES)
def test_the_numbers_of_every_chain_are_in_a_table_of_their_own(tmp_path: Path, study: str):
    settings = settings_in(tmp_path, study, components="none")
    write(settings, study)
    single = pd.read_csv(tmp_path / "tables" / f"{study}_chains.csv")
    assert len(single) == len(plan_of(settings, study).fits)
    assert set(single["chain"]) == {0, 1, 2}
    table = pd.read_csv(tmp_path / "tables" / f"{study}.csv")
    by = [table.columns[0], "network", "layer"]
    means = single.groupby(by, sort=False)["share"].mean()
    assert table["share"].tolist() == pytest.approx(means.tolist())
    assert len(table) * 3 == len(single)


def test_the_curves_show_the_numbers_of_the_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    drawn = []
    monkeypatch.setattr(chains, "write_figure", lambda figure, stem: drawn.append((figure, stem)))
    write(settings_in(tmp_path, "compression", components="none"), "compression")
    ((figure, stem),) = drawn
    assert stem == tmp_path / "figures" / "fig4_compression"
    table = pd.read_csv(tmp_path / "tables" / "compression.csv")
    single = pd.read_csv(tmp_path / "tables" / "compression_chains.csv")
    left, right = figure.axes
    assert left.get_xlabel() == right.get_xlabel() == "top-1 (%)"
    dots = [some.get_offsets().tolist() for some in left.collections]
    for line, (layer, rows) in zip(left.lines, table.groupby("layer", sort=False), strict=True):
        assert line.get_xdata().tolist() == rows["top1"].tolist()  # by removed share
        assert line.get_ydata().tolist() == rows["share"].tolist()
        of_layer = single[single["layer"] == layer]
        assert of_layer[["top1", "share"]].to_numpy().tolist() in dots
    # here both layers have the same variances
    assert right.lines[0].get_ydata().tolist() == table["variance"].tolist()[::2]


@pytest.mark.parametrize("study", STUDIES)
def test_a_fit_that_is_not_finished_is_the_first_note(tmp_path: Path, study: str):
    settings = settings_in(tmp_path, study, "none")
    write(settings, study)
    table = (tmp_path / "tables" / f"{study}.md").read_text()
    assert "not finished" not in table
    fit = plan_of(settings, study).fits[0]
    write_card(tmp_path / "fits" / fit.name, card_of(fit) | {"settled": "no"})
    write(settings, study)
    table = (tmp_path / "tables" / f"{study}.md").read_text()
    assert re.search(r"\n\n- Warning: 1 of \d+ fits of g are not finished", table)
