"""All files of the stability study, from fits whose shares are known."""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from kc.errors import StoreError
from kc.plans.products import FitPlan
from kc.plans.studies import plan_of
from kc.report.figures import write_figure
from kc.settings.load import load_settings
from kc.settings.whole import Settings
from kc.studies.stability.figure import stability_figure
from kc.studies.stability.numbers import stability_tables
from kc.studies.stability.table import write
from tests.reference.written_fits import write_results

TABLES = ("table1", "table1_pairs", "table2", "networks")
SMALL = {"seeds": [0, 1, 2], "half_splits": 3}
DEEP = {"conv4": 0.1, "conv5": 0.2, "conv4_3": 0.3, "conv5_3": 0.45, "last_conv": 0.6}


def share(fit: FitPlan, subset: str) -> float:
    if fit.source == fit.target:
        return 0.001
    own = 0.01 * sum(sum(map(ord, end.name)) % 5 for end in (fit.source, fit.target))
    return DEEP[fit.target_layer] + own - (0.08 if subset == "train" else 0)


def settings_in(folder: Path, **changed: object) -> Settings:
    raw = {"results": folder, "networks": {"vgg16_bn": {"width": 0.125}}} | {"stability": SMALL}
    raw |= changed
    settings = load_settings(raw)
    write_results(plan_of(settings, "stability"), folder, share)
    return settings


def test_all_files_are_written_and_the_same_again(tmp_path: Path):
    settings = settings_in(tmp_path / "a")
    write(settings)
    write(settings_in(tmp_path / "b"))
    for name in TABLES:
        for suffix in ("csv", "md", "tex"):
            path = tmp_path / "a" / "tables" / f"{name}.{suffix}"
            again = tmp_path / "b" / "tables" / f"{name}.{suffix}"
            assert path.read_bytes() == again.read_bytes()
            assert str(tmp_path).encode() not in path.read_bytes()
    for suffix in ("png", "svg"):
        path = tmp_path / "a" / "figures" / f"table1.{suffix}"
        assert path.read_bytes() == (tmp_path / "b" / "figures" / path.name).read_bytes()
        assert len(path.read_bytes()) > 5000


def test_numbers_go_through_unchanged(tmp_path: Path):
    settings = settings_in(tmp_path)
    write(settings)
    found = pd.read_csv(tmp_path / "tables" / "table1.csv")
    expected = stability_tables(plan_of(settings, "stability"), tmp_path).table1
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


def test_the_origin_lists_what_every_number_comes_from(tmp_path: Path):
    settings = settings_in(tmp_path)
    write(settings)
    about = json.loads((tmp_path / "tables" / "table1.json").read_text())
    fits = plan_of(settings, "stability").fits
    assert set(about["fits"]) == {fit.name for fit in fits}
    assert about["fits"][fits[0].name]["source"] == "aa"
    assert about["fits"][fits[0].name]["target"] == "bb"
    assert about["devices"] == ["cpu"]
    assert about["seconds"]["fits"] == pytest.approx(1.5 * len(fits))
    assert about["settings"]["consistency"]["preset"] == "paper"
    assert {"code", "versions", "networks"} <= set(about)


def test_notes_list_differences_from_the_paper(tmp_path: Path):
    write(settings_in(tmp_path, consistency={"order": 2, "kernel_size": 1}))
    text = (tmp_path / "tables" / "table1.md").read_text()
    assert "generated pictures (birds), 64 px" in text
    assert "vgg16_bn 0.125" in text
    assert "kernels of 1" in text


def test_a_missing_fit_leaves_no_table(tmp_path: Path):
    settings = settings_in(tmp_path)
    (tmp_path / "fits" / plan_of(settings, "stability").fits[-1].name / "card.json").unlink()
    with pytest.raises(StoreError, match="no such file"):
        write(settings)
    assert not (tmp_path / "tables").exists()


def test_figure_shows_means_dots_and_printed_values_by_layer_and_case(tmp_path: Path):
    settings = settings_in(tmp_path)
    found = stability_tables(plan_of(settings, "stability"), tmp_path)
    figure = stability_figure(found.table1, found.table1_pairs)
    (axes,) = figure.axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels[:4] == [
        "alexnet conv4, an untrained source",
        "alexnet conv4, different initialisations",
        "alexnet conv4, different training data",
        "alexnet conv4, the network itself",
    ]
    assert labels[-2] == "resnet34 last_conv, other start, same half"
    # test images of all cases, training images of the paper's
    rows = found.table1[
        (found.table1["subset"] == "test")
        | found.table1["case"].isin(["initialization", "training_data"])
    ]
    means = [container.lines[0].get_xdata()[0] for container in axes.containers]
    assert sorted(means) == sorted(rows["mean"])
    dots = [line.get_xdata() for line in axes.lines if line.get_markersize() == 3]
    whole = found.table1_pairs[found.table1_pairs["images"] == "all"]
    shown = sorted(value for some in dots for value in some)
    paper = whole["case"].isin(["initialization", "training_data"])
    assert shown == sorted([*whole["share_test"], *whole.loc[paper, "share_train"]])
    printed = sorted(line.get_xdata()[0] for line in axes.lines if line.get_marker() == "D")
    assert printed == sorted(rows.loc[(rows["subset"] == "test"), "paper"].dropna())
    write_figure(figure, tmp_path / "figure")
    assert b"<dc:date>" not in (tmp_path / "figure.svg").read_bytes()
    assert plt.get_fignums() == []


def test_figure_without_intervals_or_printed_values(tmp_path: Path):
    study = {"seeds": [0, 1], "half_splits": 0, "layers": {"resnet18": ["last_conv"]}}
    settings = settings_in(tmp_path, stability=study)
    write(settings)
    assert (tmp_path / "figures" / "table1.png").is_file()
