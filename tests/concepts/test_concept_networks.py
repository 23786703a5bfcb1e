"""Teacher, student and baseline: their training, its inputs, and interruptions."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.feature_extraction import create_feature_extractor

from kc.concepts import networks as products
from kc.concepts import training
from kc.concepts.architectures import build_with_head, fc_node
from kc.concepts.networks import (
    Given,
    initial,
    layer_head,
    load_at,
    rates_of,
    read_concept_card,
    read_history,
    train_concept_networks,
)
from kc.concepts.samples import load_pictures
from kc.concepts.training import (
    Course,
    checkpoint_file,
    cropped_at_random,
    distillation_lesson,
    rate_at,
)
from kc.errors import NetworkError, SettingsError, StoreError
from kc.images import normalise
from kc.networks import build
from kc.networks.checkpoint import save_weights
from kc.plans.concept_products import (
    ConceptNetwork,
    concept_batches,
    concept_figures,
    concept_networks,
    epochs_seen,
    layers_seen,
)
from kc.settings.concepts import Concepts, Lessons
from kc.settings.recipes import Fresh, Network
from kc.store import Store
from kc.store.files import write_signed
from tests.reference import plain_concepts as plain

CPU = torch.device("cpu")
SHAPE = Network(width=0.0625, head_units=16, dropout=0.5, small_input=True)
LESSONS = Lessons(
    epochs=4, checkpoints=(0, 1, 2, 3, 4), batch_size=8, above=Fresh(epochs=2, batch_size=8)
)
TEACHER, BASELINE = (ConceptNetwork("objects", "alexnet", role) for role in ("teacher", "baseline"))
STUDENT = ConceptNetwork("objects", "alexnet", "student", "fc2")
LAYERS = ("fc1", "fc2")
BELOW = ("features.", "classifier.1.", "classifier.4.")
"""Up to the student's target, fc2."""


def given(images: Store, lessons: Lessons = LESSONS) -> Given:
    return Given(images, SHAPE, lessons, LAYERS)


def make(images: Store, out: Path, *plans: ConceptNetwork, lessons: Lessons = LESSONS) -> None:
    train_concept_networks(plans, given(images, lessons), out, CPU)


def weights(out: Path, plan: ConceptNetwork, epoch: int | None = None) -> dict[str, Tensor]:
    name = "weights.safetensors" if epoch is None else checkpoint_file(epoch)
    return load_file(out / plan.name / name)


def files(out: Path, plan: ConceptNetwork) -> dict[str, bytes]:
    names = ["history.csv", *(file.name for file in (out / plan.name).glob("*.safetensors"))]
    return {name: (out / plan.name / name).read_bytes() for name in names}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> dict[str, bool]:
    return {name: torch.equal(a[name], b[name]) for name in a}


def test_only_student_and_baseline_start_with_equal_weights(
    make_images: Callable[..., Store], tmp_path: Path
):
    make(make_images(), tmp_path / "out", STUDENT, TEACHER, BASELINE)
    student, baseline, teacher = (
        weights(tmp_path / "out", plan, 0) for plan in (STUDENT, BASELINE, TEACHER)
    )
    assert all(same(student, baseline).values())
    assert not any(same(student, teacher)[name] for name in student if name.endswith("weight"))
    fresh = initial(BASELINE, 3, given(make_images())).state_dict()
    assert all(same(baseline, fresh).values())


def test_labels_affect_only_the_layers_above_the_target(
    make_images: Callable[..., Store], tmp_path: Path
):
    straight, shuffled = make_images(), make_images("other", shuffled=True)
    make(straight, tmp_path / "a", TEACHER, STUDENT)
    shutil.copytree(tmp_path / "a" / TEACHER.name, tmp_path / "b" / TEACHER.name)
    make(shuffled, tmp_path / "b", STUDENT)
    for epoch in LESSONS.checkpoints:
        a, b = (weights(tmp_path / name, STUDENT, epoch) for name in "ab")
        assert all(same(a, b).values())
    a, b = (weights(tmp_path / name, STUDENT) for name in "ab")
    below = {name for name in a if name.startswith(BELOW)}
    assert 0 < len(below) < len(a)
    assert {name for name, alike in same(a, b).items() if alike} == below
    first = weights(tmp_path / "a", STUDENT, 0)
    last = weights(tmp_path / "a", STUDENT, LESSONS.epochs)
    assert {name for name, alike in same(first, last).items() if not alike} == below
    assert all(torch.equal(last[name], a[name]) for name in below)


def test_a_student_comes_nearer_to_its_teacher(make_images: Callable[..., Store], tmp_path: Path):
    images = make_images()
    lessons = LESSONS.model_copy(update={"augment": False, "epochs": 12, "checkpoints": (0, 12)})
    make(images, tmp_path, TEACHER, STUDENT, lessons=lessons)
    pictures = normalise(load_pictures(images, "train", ()).images)

    def away(epoch: int) -> float:
        models = [load_at(TEACHER, tmp_path, None), load_at(STUDENT, tmp_path, epoch)]
        with torch.no_grad():
            seen = [layer_head(model, "alexnet", "fc2", 64).eval()(pictures) for model in models]
        assert seen[0].min() < 0  # before the ReLU
        return float(F.mse_loss(*seen))

    assert away(12) < 0.9 * away(0)


def test_the_printed_loss_weighs_a_unit_equally_in_all_layers():
    generator = torch.Generator().manual_seed(0)
    for units in (6, 128):
        student, teacher = nn.Linear(5, units), nn.Linear(5, units)
        pictures = torch.rand(7, 5, generator=generator)
        away = (student(pictures) - teacher(pictures)).square().sum(1).mean()
        for form, divisor in (("printed", 128), ("released", units)):
            found = distillation_lesson(student, teacher, form).loss(
                pictures, torch.zeros(7, dtype=torch.long)
            )
            assert found.item() == pytest.approx(away.item() / divisor, rel=1e-5)


def test_checkpoints_are_those_listed(make_images: Callable[..., Store], tmp_path: Path):
    lessons = LESSONS.model_copy(update={"checkpoints": (1, 4)})
    make(make_images(), tmp_path, BASELINE, lessons=lessons)
    folder = tmp_path / BASELINE.name
    kept = {file.name for file in folder.glob("checkpoint-*")}
    assert kept == {"checkpoint-001.safetensors", "checkpoint-004.safetensors"}
    last = weights(tmp_path, BASELINE, 4)
    assert all(same(last, weights(tmp_path, BASELINE)).values())
    assert not (folder / training.STATE).exists()
    assert set(read_concept_card(BASELINE, tmp_path)["files"]) == kept | {
        "weights.safetensors",
        "history.csv",
    }


def test_distances_are_those_of_the_checkpoints(make_images: Callable[..., Store], tmp_path: Path):
    make(make_images(), tmp_path, BASELINE)
    history = read_history(BASELINE, tmp_path)
    assert history["epoch"].tolist() == [0, 1, 2, 3, 4]
    names = [name for name, _ in initial(BASELINE, 3, given(make_images())).named_parameters()]
    states = [weights(tmp_path, BASELINE, epoch) for epoch in range(5)]
    path = [[state[name].numpy() for name in names] for state in states]
    np.testing.assert_allclose(history["distance_all"], plain.travelled(path), rtol=1e-6)
    up_to = [name for name in names if name.startswith(BELOW)]
    assert 0 < len(up_to) < len(names)
    path = [[state[name].numpy() for name in up_to] for state in states]
    np.testing.assert_allclose(history["distance_up_to_fc2"], plain.travelled(path), rtol=1e-6)
    by_epoch = plain.travelled([[state["classifier.1.weight"].numpy()] for state in states])
    by_step = history["distance_fc1"].to_numpy()
    assert by_step[0] == 0
    assert (by_step[1:] > 1.01 * np.array(by_epoch[1:])).all()  # a path with detours is longer
    first = states[0]["classifier.1.weight"].double().norm()
    assert history["norm_fc1"][0] == pytest.approx(float(first), rel=1e-6)


@pytest.mark.parametrize("plan", [STUDENT, BASELINE], ids=["student", "baseline"])
def test_an_interrupted_student_gives_the_same_bits_as_an_uninterrupted_one(
    plan: ConceptNetwork,
    make_images: Callable[..., Store],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    images, lessons = make_images(), LESSONS.model_copy(update={"checkpoints": (0, 2, 4)})
    make(images, tmp_path / "whole", TEACHER, plan, lessons=lessons)
    make(images, tmp_path / "torn", TEACHER, lessons=lessons)
    whole_epoch, seen = training._epoch, []

    def torn(*args):
        seen.append(args[4])
        if len(seen) == 4:  # the epoch after the second checkpoint's successor
            raise KeyboardInterrupt
        return whole_epoch(*args)

    monkeypatch.setattr(training, "_epoch", torn)
    with pytest.raises(KeyboardInterrupt):
        make(images, tmp_path / "torn", plan, lessons=lessons)
    assert not (tmp_path / "torn" / plan.name / "card.json").exists()
    make(images, tmp_path / "torn", plan, lessons=lessons)
    assert seen == [0, 1, 2, 3, 2, 3]
    assert files(tmp_path / "torn", plan) == files(tmp_path / "whole", plan)


def test_a_checkpoint_damaged_during_an_interruption_is_written_again(
    make_images: Callable[..., Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog
):
    """The digest is that of the written file: the card must not sign a later change."""
    images, whole_epoch, seen = make_images(), training._epoch, []
    make(images, tmp_path / "whole", BASELINE)
    file = tmp_path / "torn" / BASELINE.name / checkpoint_file(1)

    def torn(*args):
        seen.append(args[4])
        if seen == [0, 1, 2]:
            raise KeyboardInterrupt
        return whole_epoch(*args)

    monkeypatch.setattr(training, "_epoch", torn)
    with pytest.raises(KeyboardInterrupt):
        make(images, tmp_path / "torn", BASELINE)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    make(images, tmp_path / "torn", BASELINE)
    assert seen[3:] == [0, 1, 2, 3]
    assert "checkpoint-001.safetensors missing or changed since written" in caplog.text
    assert files(tmp_path / "torn", BASELINE) == files(tmp_path / "whole", BASELINE)


def test_existing_networks_are_not_trained_again(
    make_images: Callable[..., Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    images = make_images()
    make(images, tmp_path, TEACHER)

    def never(*args):
        raise AssertionError("made again")

    monkeypatch.setattr(products, "_make", never)
    make(images, tmp_path, TEACHER)
    (tmp_path / TEACHER.name / checkpoint_file(2)).write_bytes(b"")
    with pytest.raises(AssertionError, match="made again"):
        make(images, tmp_path, TEACHER)
    write_signed(tmp_path / TEACHER.name / "card.json", {"files": {"history.csv": ""}})
    with pytest.raises(StoreError, match=r"history.csv missing or not those of card.json"):
        read_concept_card(TEACHER, tmp_path)


def test_a_student_without_its_teacher_is_refused(
    make_images: Callable[..., Store], tmp_path: Path
):
    with pytest.raises(
        NetworkError, match=r"'objects-alexnet-seed0-teacher' is missing. Fix: snake"
    ):
        make(make_images(), tmp_path, STUDENT)


def test_a_rate_that_is_too_high_is_named(make_images: Callable[..., Store], tmp_path: Path):
    lessons = LESSONS.model_copy(update={"baseline_rate": 1e9})
    with pytest.raises(NetworkError, match=r"diverged in epoch \d .*Fix: lower its rate"):
        make(make_images(), tmp_path, BASELINE, lessons=lessons)


def test_first_rates_are_those_of_role_family_and_start():
    lessons = Lessons(
        teacher_rate=0.01,
        finetune_rate=0.001,
        baseline_rate=0.02,
        family_rates={"resnet": 10},
        distil_rates={"resnet": {"fc1": (10, 0.1), "fc2": 0.1}, "vgg": {"fc1": 1e-4}},
    )

    def rate(architecture: str, role: str, layer: str = "", finetuned: bool = False) -> float:
        start = "pretrained" if finetuned else "scratch"
        first, last = rates_of(ConceptNetwork("d", architecture, role, layer, 0, start), lessons)
        assert (role == "student" and layer == "fc1") or last == pytest.approx(first / 10)
        return first

    assert rate("vgg16", "teacher") == 0.01
    assert rate("vgg16", "teacher", finetuned=True) == 0.001
    assert rate("resnet50", "teacher") == 0.1
    assert rate("resnet50", "teacher", finetuned=True) == 0.01
    assert (rate("alexnet", "baseline"), rate("resnet152", "baseline")) == (0.02, 0.2)
    # a student's own, else the baseline's
    assert [rate("resnet50", "student", f"fc{k}") for k in (1, 2, 3)] == [10, 0.1, 0.2]
    assert [rate("vgg16", "student", f"fc{k}") for k in (1, 2)] == [1e-4, 0.02]
    assert rates_of(ConceptNetwork("d", "resnet50", "student", "fc1"), lessons) == (10, 0.1)
    assert rate("alexnet", "student", "fc2") == 0.02


def test_students_and_baselines_learn_at_equal_rates_by_default():
    for lessons in (Lessons(), Concepts().training):
        for architecture in ("alexnet", "vgg11", "resnet50"):
            baseline = rates_of(ConceptNetwork("d", architecture, "baseline"), lessons)
            for layer in ("fc1", "fc2", "fc3"):
                plan = ConceptNetwork("d", architecture, "student", layer)
                assert rates_of(plan, lessons) == baseline


def test_crops_are_parts_of_the_picture_mirrored_half_the_time():
    side = 64
    ramp = torch.arange(side, dtype=torch.uint8).expand(3, side, side)  # rises to the right
    pictures = torch.stack([ramp, ramp.mT] * 40)

    def crops(seed: int) -> Tensor:
        return cropped_at_random(pictures, torch.Generator().manual_seed(seed))

    found = crops(0)
    assert found.shape == pictures.shape
    assert torch.equal(found, crops(0))
    assert not torch.equal(found, crops(1))
    across = found[::2, 0, side // 2].int()  # one row of each
    span = (across[:, -1] - across[:, 0]).abs()
    mirrored = (across[:, -1] < across[:, 0]).float().mean()
    assert 0.25 < mirrored < 0.75
    assert span.min() >= 0.4 * side  # sqrt(1/4 x 3/4) of a side, less its border
    assert span.min() < 0.7 * side < span.max()
    down = found[1::2, 0, :, side // 2].int()
    assert (down[:, -1] > down[:, 0]).all()  # never upside down
    torch.testing.assert_close(pictures, torch.stack([ramp, ramp.mT] * 40))  # not changed


@pytest.mark.parametrize(
    ("role", "weights", "wanted", "cropped"),
    [
        ("teacher", None, "crop", True),
        ("teacher", None, "shift", False),
        ("teacher", "file", "crop", False),  # fine-tuned
        ("baseline", None, "crop", False),
        ("student", None, "crop", False),
    ],
)
def test_only_teachers_from_scratch_are_trained_on_crops(
    role: str,
    weights: str | None,
    wanted: str,
    cropped: bool,
    make_images: Callable[..., Store],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    if weights:
        weights = str(tmp_path / "alexnet.safetensors")
        save_weights(build("alexnet", 3, SHAPE, 0), Path(weights))
    shape = SHAPE.model_copy(update={"weights": weights})
    images = make_images()
    lessons = LESSONS.model_copy(
        update={"teacher_augment": wanted, "epochs": 1, "checkpoints": (1,)}
    )
    plan = {"teacher": TEACHER, "student": STUDENT, "baseline": BASELINE}[role]
    plan = replace(plan, teacher_start="pretrained" if weights else "scratch")
    if role == "student":
        make(images, tmp_path, TEACHER, lessons=lessons)
    seen = []
    monkeypatch.setattr(training, "cropped_at_random", lambda some, _: seen.append(1) or some)
    train_concept_networks([plan], Given(images, shape, lessons, LAYERS), tmp_path, CPU)
    assert bool(seen) == cropped
    card = read_concept_card(plan, tmp_path)
    assert card["finetuned"] == (weights is not None)
    expected = {"teacher": 0.002 if weights else 0.02, "student": 0.02, "baseline": 0.02}[role]
    assert card["first_rate"] == expected


def test_a_teacher_starts_from_the_weights_given_and_the_others_do_not(tmp_path: Path):
    shape = Network(width=0.0625)
    file = tmp_path / "resnet50.safetensors"
    given_weights = build("resnet50", 7, shape, 99)
    save_weights(given_weights, file)
    state = given_weights.state_dict()
    shape = shape.model_copy(update={"weights": str(file), "head_units": 8})

    def start(role: str, seed: int = 0) -> dict[str, Tensor]:
        layer = "fc1" if role == "student" else ""
        plan = ConceptNetwork("d", "resnet50", role, layer, seed, "pretrained")
        return initial(plan, 3, Given(None, shape, LESSONS, LAYERS)).state_dict()

    teacher, student, baseline = (start(role) for role in ("teacher", "student", "baseline"))
    body = {name for name in state if not name.startswith("fc.")}
    assert all(torch.equal(teacher[name], state[name]) for name in body)
    assert all(same(student, baseline).values())
    convolutions = [name for name in body if name.endswith("conv2.weight")]
    assert convolutions
    assert not any(torch.equal(student[name], state[name]) for name in convolutions)
    head = {name for name in teacher if name not in body}
    assert {name.partition(".")[0] for name in head} == {
        "avgpool",
        "fc",
    }  # of C20, random in all networks
    assert not torch.equal(teacher["fc.0.weight"], student["fc.0.weight"])
    other = start("teacher", seed=1)  # fine-tuned networks differ in their heads alone
    assert all(torch.equal(other[name], teacher[name]) for name in body)
    assert not torch.equal(other["fc.0.weight"], teacher["fc.0.weight"])
    assert not any(same(start("baseline", seed=1), baseline)[name] for name in convolutions)


def on_meta(architecture: str) -> nn.Module:
    """At full width, shapes only."""
    with torch.device("meta"):
        return build_with_head(architecture, 12, Network(), seed=0)


@pytest.mark.parametrize("architecture", ["resnet50", "resnet101", "resnet152"])
def test_resnets_last_layer_is_two_convolutions_and_three_layers(architecture: str):
    model = on_meta(architecture)
    block = [module for module in model.avgpool if not isinstance(module, nn.ReLU)]
    assert [type(module).__name__ for module in block] == [
        "Conv2d", "BatchNorm2d", "Conv2d", "BatchNorm2d", "AdaptiveAvgPool2d",
    ]  # fmt: skip
    assert [tuple(block[k].weight.shape) for k in (0, 2)] == [(512, 2048, 3, 3), (512, 512, 3, 3)]


@pytest.mark.parametrize(
    ("architecture", "inputs"),
    [
        ("alexnet", 9216),
        *((vgg, 25088) for vgg in ("vgg11", "vgg16", "vgg19")),
        *((resnet, 512) for resnet in ("resnet50", "resnet101", "resnet152")),
    ],
)
def test_the_papers_networks_have_three_layers_of_the_papers_size(architecture: str, inputs: int):
    model = on_meta(architecture)
    nodes = {fc_node(architecture, layer): layer for layer in ("fc1", "fc2", "fc3")}
    sizes = [tuple(model.get_submodule(node).weight.shape) for node in nodes]
    assert sizes == [(4096, inputs), (4096, 4096), (12, 4096)]
    found = create_feature_extractor(model, nodes)(torch.zeros(2, 3, 224, 224, device="meta"))
    assert {name: tuple(some.shape) for name, some in found.items()} == {
        "fc1": (2, 4096),
        "fc2": (2, 4096),
        "fc3": (2, 12),
    }


def test_rates_fall_by_a_decade():
    course = Course("n", Lessons(), 0.02, 0, CPU)
    rates = [rate_at(course, epoch) for epoch in range(Lessons().epochs)]
    assert rates[0] == 0.02
    assert rates[-1] == pytest.approx(0.002)
    assert np.allclose(np.diff(np.log(rates)), np.log(0.1) / (len(rates) - 1))
    steep = course._replace(rate=10.0, fall=0.01)  # of a ResNet's student at fc1
    assert rate_at(steep, 0) == 10
    assert rate_at(steep, Lessons().epochs - 1) == pytest.approx(0.1)


@pytest.mark.parametrize("architecture", ["alexnet", "vgg11", "resnet18", "resnet50"])
def test_every_network_has_three_layers_to_look_at(architecture: str):
    example = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    model = build_with_head(architecture, 5, SHAPE, seed=1)
    sizes = [tuple(layer_head(model, architecture, fc, 64)(example).shape) for fc in LAYERS]
    assert sizes == [(2, 16), (2, 16)]
    logits = layer_head(model, architecture, "fc3", 64)(example)
    assert torch.equal(logits, model(example))
    again = build_with_head(architecture, 5, SHAPE, seed=1).state_dict()
    assert all(same(model.state_dict(), again).values())
    linear = model.get_submodule(fc_node(architecture, "fc1"))
    assert isinstance(linear, nn.Linear)


def test_classes_may_be_chosen_by_name(make_images: Callable[..., Store]):
    pictures = load_pictures(make_images(), "train", ("class2", "class0"))
    assert sorted(set(pictures.labels.tolist())) == [0, 1]
    red = pictures.images.float().mean((2, 3)).argmax(1)  # class k is bright in colour k
    assert torch.equal(red, torch.where(pictures.labels == 0, 2, 0))
    with pytest.raises(SettingsError, match=r"'clas1' is no class of .* did you mean 'class1'"):
        load_pictures(make_images(), "train", ("clas1",))


def test_a_data_set_may_have_classes_of_its_own():
    about = Concepts(
        dataset=("det", "voc", "cub"),
        training=Lessons(epochs=3, checkpoints=(3,), classes=("ox", "lion")),
        dataset_classes={"voc": ("cat", "dog"), "cub": ()},
    )
    assert about.lessons_of("det") == about.training
    assert about.lessons_of("voc").classes == ("cat", "dog")
    assert about.lessons_of("cub").classes == ()  # all, although training.classes names some
    others = about.lessons_of("voc").model_copy(update={"classes": ("ox", "lion")})
    assert others == about.training
    assert list(about.datasets_named()) == [
        *(("dataset", name) for name in ("det", "voc", "cub")),
        *(("dataset_classes", name) for name in ("voc", "cub")),
    ]


def test_invalid_settings_are_refused():
    with pytest.raises(ValueError, match=r"checkpoints \[0, 5, 2\] must increase"):
        Lessons(epochs=2, checkpoints=(0, 5, 2))
    with pytest.raises(ValueError, match=r"to the last epoch, 9"):
        Lessons(epochs=9, checkpoints=(0, 5))
    with pytest.raises(ValueError, match="thresholds has no value for vgg11"):
        Concepts(thresholds={"alexnet": 0.25})
    with pytest.raises(ValueError, match=r"distil_rates.fc1"):
        Lessons(distil_rates={"fc1": 0.1})
    with pytest.raises(ValueError, match=r"expected no true or false here"):
        Lessons(distil_rates={"vgg": {"fc1": True}})


def test_networks_are_a_teacher_its_students_and_a_baseline():
    plans = concept_networks(Concepts(architectures=("vgg11",), seeds=(4,)))
    assert [plan.name for plan in plans] == [
        "objects-vgg11-seed4-teacher",
        *(f"objects-vgg11-seed4-student-fc{k}" for k in (1, 2, 3)),
        "objects-vgg11-seed4-baseline",
    ]
    assert [plan.teacher for plan in plans] == [None, *[plans[0]] * 3, None]
    assert list(concept_batches(plans, "architecture")) == ["objects-vgg11"]
    assert list(concept_batches(plans, "network")) == [plan.name for plan in plans]


def test_several_data_sets_may_have_layers_of_their_own():
    about = Concepts(
        dataset=("cub", "det"),
        architectures=("alexnet",),
        dataset_layers={"det": ("fc1", "fc2")},
        seeds=(0,),
    )
    plans = concept_networks(about)
    assert [plan.name for plan in plans if plan.role == "student"] == [
        *(f"cub-alexnet-seed0-student-fc{k}" for k in (1, 2, 3)),
        *(f"det-alexnet-seed0-student-fc{k}" for k in (1, 2)),
    ]
    seen = {plan.name: layers_seen(plan, about) for plan in plans}
    assert seen["cub-alexnet-seed0-baseline"] == ("fc1", "fc2", "fc3")
    assert seen["det-alexnet-seed0-baseline"] == ("fc1", "fc2")
    assert seen["det-alexnet-seed0-student-fc2"] == ("fc2",)
    assert list(concept_batches(plans, "architecture")) == ["cub-alexnet", "det-alexnet"]
    assert "concepts_maps_cub_alexnet_fc3" in concept_figures(about)
    assert "concepts_maps_det_alexnet_fc3" not in concept_figures(about)
    assert Concepts(dataset="cub").datasets == ("cub",)


def test_each_seed_has_a_teacher_of_its_own_and_tables_may_differ_in_what_teachers_start_from():
    about = Concepts(
        dataset=("cub", "det"),
        architectures=("alexnet", "vgg11"),
        layers=("fc1",),
        seeds=(0, 7),
        table2={"architectures": ("vgg16",), "datasets": ("cub",)},
        table3={"teacher": "pretrained"},
    )
    plans = concept_networks(about)
    assert len(plans) == len(set(plans)) == 2 * (2 * 2 * 3 + 3)
    assert {plan.name for plan in plans if plan.architecture == "vgg16" and plan.seed == 7} == {
        *("cub-vgg16-seed7-teacher", "cub-vgg16-seed7-student-fc1", "cub-vgg16-seed7-baseline")
    }
    assert [plan.name for plan in plans][:3] == [
        "cub-alexnet-seed0-teacher-pretrained",
        "cub-alexnet-seed0-student-pretrained-fc1",
        "cub-alexnet-seed0-baseline",
    ]
    assert {plan.start for plan in plans if plan.role != "teacher"} == {"scratch"}
    assert all(plan.teacher in plans for plan in plans if plan.role == "student")
    assert concept_networks(Concepts()) == concept_networks(
        Concepts(table2={"architectures": ("alexnet",)})
    )
    assert about.starts() == {"scratch", "pretrained"}
    with pytest.raises(ValueError, match=r"table2.datasets: 'voc' is not among .*Fix: add it"):
        Concepts(dataset="cub", table2={"datasets": ("voc",)})


def test_augmentation_is_by_data_set():
    about = Concepts(dataset=("cub", "det"), dataset_augment={"cub": False})
    assert not about.lessons_of("cub").augment
    assert about.lessons_of("det").augment


def test_of_teachers_only_the_last_checkpoint_is_mapped_and_of_students_none_before_training():
    about = Concepts(training=Lessons(epochs=5, checkpoints=(0, 2, 5)))
    assert epochs_seen(TEACHER, about) == (5,)
    assert epochs_seen(STUDENT, about) == (2, 5)
    assert epochs_seen(BASELINE, about) == (0, 2, 5)


def test_as_released_all_fully_connected_layers_of_a_fine_tuned_teacher_are_new(tmp_path: Path):
    file = tmp_path / "alexnet.safetensors"
    ready = build("alexnet", 3, SHAPE, 99)
    save_weights(ready, file)
    shape, plan = SHAPE.model_copy(update={"weights": str(file)}), replace(TEACHER, seed=1)
    plan = replace(plan, teacher_start="pretrained")
    for count in (1, 3):
        lessons = LESSONS.model_copy(update={"new_layers": count})
        state = initial(plan, 3, Given(None, shape, lessons, LAYERS)).state_dict()
        alike = {name for name, is_same in same(state, ready.state_dict()).items() if is_same}
        new = {name.split(".")[1] for name in state.keys() - alike}
        assert new == ({"6"} if count == 1 else {"1", "4", "6"})
