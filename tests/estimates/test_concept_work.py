"""Compare the estimated work of the concepts study with counts by hand."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from kc.cli.main import app
from kc.concepts.architectures import build_with_head
from kc.estimates import concept_work as concepts_work
from kc.estimates.concept_work import Cost, costs_of, hours, trained_on
from kc.estimates.concept_work import concepts_work as work
from kc.settings.load import load_settings
from kc.settings.whole import Settings

ROOT = Path(__file__).parents[2]

DRAWN = {"layout": "voc", "size": 64, "generated": {"classes": 4, "images_per_class": 20}}
"""48 training objects: 0.6 of 4 x 20."""


def settings(**concepts: object) -> Settings:
    training = {"epochs": 5, "checkpoints": [0, 1, 5], "above": {"epochs": 2}}
    about = {"dataset": "drawn", "architectures": ["alexnet"], "layers": ["fc1", "fc2"]}
    about |= {"seeds": [0]}
    about |= {"images": 7, "entropy": "released"}
    return load_settings(
        {
            "device": "cpu",
            "datasets": {"drawn": DRAWN, "other": DRAWN},
            "networks": {"alexnet": {"width": 0.125, "head_units": 16, "small_input": True}},
            "concepts": about
            | {"training": training, "images": 7, "entropy": "released"}
            | concepts,
        }
    )


def forward_of_alexnet() -> dict[str, int]:
    """Count operations up to each layer from the weights and the sizes of the maps."""
    model = build_with_head("alexnet", concepts_work.CLASSES, settings().network("alexnet"), 0)
    maps = {0: 29, 3: 14, 6: 6, 8: 6, 10: 6}  # sides of the convolutions' outputs at 64 px
    found = sum(2 * model.features[k].weight.numel() * side**2 for k, side in maps.items())
    total = {}
    for name, k in (("fc1", 1), ("fc2", 4), ("fc3", 6)):
        found += 2 * model.classifier[k].weight.numel()
        total[name] = found
    return total


def test_operations_equal_those_computed_from_the_weights():
    costs = costs_of(settings(), "alexnet", 64)
    assert {name: cost.forward for name, cost in costs.items()} == forward_of_alexnet()
    for cost in costs.values():
        # backward to the image costs as much as forward; to the weights as much again, except
        # for the first convolution, which passes nothing to the image
        assert cost.probe == 2 * cost.forward
        assert 2 * cost.forward < cost.learn < 3 * cost.forward
    model = build_with_head("alexnet", concepts_work.CLASSES, settings().network("alexnet"), 0)
    first = 2 * model.features[0].weight.numel() * 29**2
    assert costs["fc3"].learn == 3 * costs["fc3"].forward - first


def test_every_network_is_counted_by_its_training_and_its_searches(monkeypatch: pytest.MonkeyPatch):
    costs = {
        "fc1": Cost(1e12, 3e12, 2e12),
        "fc2": Cost(2e12, 5e12, 4e12),
        "fc3": Cost(3e12, 9e12, 6e12),
    }
    monkeypatch.setattr(concepts_work, "costs_of", lambda *_: costs)
    row = work(settings()).iloc[0]
    assert row["networks"] == 4  # a teacher, two students, a baseline
    assert row["training_steps"] == 4 * 5 * 48
    # images; checkpoints x layers of T (the last), S and S (without epoch 0), B (0, 1, 5)
    looks, seen = 7, 1 * 2 + 2 * 1 + 2 * 1 + 3 * 2
    assert row["search_steps"] == looks * seen * 80 * 96
    whole = 2 * 5 * 9  # teacher and baseline
    below = 5 * (3 + 1) + 5 * (5 + 2)  # with forward passes of the teacher
    above = 2 * (9 - 3) + 2 * (9 - 5) + 1 + 2  # after one pass to the features
    assert row["training_pflop"] == pytest.approx(48 * (whole + below + above) / 1e3)
    one = (97 * 1 + 80 * 96 * 2) * 6 + (97 * 2 + 80 * 96 * 4) * 6  # fc1 and fc2, six times each
    assert row["search_pflop"] == pytest.approx(looks * one / 1e3)
    cheap = work(settings(entropy="fast")).iloc[0]
    assert cheap["search_steps"] == looks * seen * 10 * 24
    three = work(settings(seeds=[0, 1, 2])).iloc[0]
    assert three["networks"] == 12
    assert three["search_pflop"] == pytest.approx(3 * row["search_pflop"])


def test_rows_are_by_data_set_and_architecture(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        concepts_work, "costs_of", lambda *_: dict.fromkeys(("fc1", "fc2", "fc3"), Cost(1, 3, 2))
    )
    about = settings(
        architectures=["alexnet", "vgg11"],
        dataset=["drawn", "other"],
        dataset_layers={"other": ["fc1"]},
    )
    found = work(about)
    rows = list(zip(found["dataset"], found["network"], found["networks"], strict=True))
    assert rows == [
        *(("drawn", name, 4) for name in ("alexnet", "vgg11")),
        *(("other", name, 3) for name in ("alexnet", "vgg11")),
    ]


def test_training_objects_are_those_of_the_classes():
    assert trained_on(settings(), "drawn") == 48
    some = {"epochs": 1, "checkpoints": [1], "classes": ["cat", "dog"]}
    assert trained_on(settings(training=some), "drawn") == 24
    own = {"drawn": ["cat", "cow", "dog"]}
    assert trained_on(settings(training=some, dataset_classes=own), "drawn") == 36
    real = {"layout": "det", "archive": "/det", "images": 1000}
    about = load_settings({"datasets": {"det": real}})
    assert trained_on(about, "det") == 920


def test_hours_follow_from_a_given_or_a_measured_rate():
    about = settings()
    found = work(about)
    pflop = found["training_pflop"].iloc[0] + found["search_pflop"].iloc[0]
    shown, said = hours(about, found, tflops=0.5)
    assert shown["hours"].iloc[0] == pytest.approx(pflop * 1e15 / 0.5e12 / 3600)
    assert "0.5, as given" in said
    measured, said = hours(about, found, None)
    assert "measured here, in training steps on cpu" in said
    rate = pflop * 1e15 / measured["hours"].iloc[0] / 3600 / 1e12
    assert 1e-4 < rate < 10  # 10^12 a second on one core


def test_kc_plan_lists_its_assumptions(tmp_path):
    base = tmp_path / "config.yaml"
    base.write_text(
        "datasets: {objects: {layout: voc, generated: {classes: 4, images_per_class: 20}}}\n"
        "concepts: {architectures: [alexnet], layers: [fc1]}\n"
        "networks: {alexnet: {width: 0.125, head_units: 16}}\n"
    )
    done = CliRunner().invoke(app, ["plan", "concepts", "--base", str(base)])
    assert done.exit_code == 0, done.output
    assert "search_steps, all: " in done.output
    assert "For hours: --tflops RATE, or --measure" in done.output
    done = CliRunner().invoke(app, ["plan", "concepts", "--base", str(base), "--tflops", "2"])
    assert "hours, all: " in done.output
    assert "2, as given" in done.output


def test_kc_plan_accepts_concepts_together_with_other_studies():
    plan = ["plan", "concepts", "stability", "--base", str(ROOT / "config.yaml")]
    done = CliRunner().invoke(app, plan)
    assert done.exit_code == 0, done.output
    assert "activations" in done.output
    assert "search_steps, all: " in done.output
    done = CliRunner().invoke(app, [*plan, "concept"])
    assert done.exit_code == 2
    assert "no study 'concept'; there are" in done.output
