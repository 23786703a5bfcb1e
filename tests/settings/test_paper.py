"""The preset ``paper`` key by key: what the papers print, what their code has, what is ours.

Quotes are compared with the papers' texts if ``KC_SHARED`` names a folder with ``papers/``.
"""

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from kc.plans.concept_products import cells_of, concept_networks
from kc.plans.studies import plans
from kc.settings.concepts import Concepts
from kc.settings.load import read_settings
from kc.settings.whole import Settings

ROOT = Path(__file__).parents[2]
PRESET = ROOT / "workflow" / "presets" / "paper.yaml"
L20, C20 = "liang2020_knowledge_consistency", "cheng2020_quantifying_knowledge"
VGG, RESNETS = ["conv4_3", "conv5_2"], ["last_conv"]
SYNSETS = 12
NO_AUGMENTATION = "All DNNs were learned without data augmentation or pre-training."
FROM_SCRATCH = "Original DNNs were learned from scratch without data augmentation."
TEACHERS = (
    "All teacher networks in Sections 4.3, 4.4, 4.5 were pre-trained on the ImageNet dataset [32], "
    "and then fine-tuned using all three datasets, respectively."
)
THREE_LAYERS = "For the CUB200-2011 dataset, all three FC layers were selected as target layers."
TWO_LAYERS = (
    "Hence, the target layer was chosen from the $FC_1$ and $FC_2$ layer, when DNNs were learned "
    "on the ILSVRC-2013 DET dataset and the Pascal VOC 2012 dataset."
)

PRINTED: tuple[tuple[str, Any, str, str, str], ...] = (
    # key, value, paper, section or table, its words
    ("datasets.birds.archive", "CUB_200_2011.tgz", L20, "Sec. 4",
     "which included the CUB200-2011 dataset (Wah et al., 2011), the Stanford Dogs dataset"),
    ("datasets.dogs.archive", "StanfordDogs", L20, "Sec. 4", "the Stanford Dogs dataset"),
    ("datasets.objects.archive", "VOCtrainval_11-May-2012.tar", L20, "Sec. 4.3",
     "20 object classes in the Pascal VOC 2012 dataset"),
    ("datasets.mix.parts", ["birds", "dogs"], L20, "Sec. 4.3",
     "to classify both 200 bird species and 120 dog species"),
    *((f"datasets.{name}.size", 224, L20, "Sec. 4.1",
       "the last $14 \\times 14 \\times 256$ feature map of the ResNet-34")
      for name in ("birds", "dogs", "objects", "mix")),  # a 16th of the side
    ("training.augment", False, L20, "Table 3", NO_AUGMENTATION),
    ("consistency.order", 2, L20, "Table 3", "$x^{(0)} + x^{(1)} + x^{(2)}$"),
    ("stability.layers.alexnet", ["conv4", "conv5"], L20, "Table 1",
     "conv4 @ AlexNet conv5 @ AlexNet"),
    ("stability.layers.vgg16_bn", ["conv4_3", "conv5_3"], L20, "Table 1",
     "conv4-3 @ VGG-16 conv5-3 @ VGG-16"),
    ("stability.layers.resnet34", RESNETS, L20, "Table 1", "last conv @ ResNet-34"),
    ("stability.dataset", "birds", L20, "Sec. 4.2",
     "we trained multiple networks using the CUB200-2011 dataset"),
    ("stability.weights", "scratch", L20, "Sec. 4.2",
     "we trained two DNNs (A, B) for fine-grained classification (without pre-training)"),
    ("training.halves_keep_steps", False, L20, "Sec. 4.2",
     "into two subsets, each containing 50% samples"),
    ("diagnosis.weak", "alexnet", L20, "Sec. 4.1",
     "We considered the AlexNet (Krizhevsky et al., 2012) as the weak DNN (56.97% top-1 accuracy)"),
    ("diagnosis.strong", "resnet34", L20, "Sec. 4.1",
     "took the ResNet-34 (He et al., 2016) as the strong DNN (73.09% top-1 accuracy)"),
    ("diagnosis.weak_layer", "conv5", L20, "Sec. 4.1",
     "the output feature of the last convolutional layer in the AlexNet"),
    ("diagnosis.strong_layer", "last_conv", L20, "Sec. 4.1",
     "the last $14 \\times 14 \\times 256$ feature map of the ResNet-34"),
    ("refinement.weights", "scratch", L20, "Table 3", NO_AUGMENTATION),
    ("refinement.layers", {"vgg16_bn": VGG, "resnet18": RESNETS, "resnet34": RESNETS,
                           "resnet50": RESNETS}, L20, "Table 3",
     "VGG-16 conv4-3 VGG-16 conv5-2 ResNet-18 ResNet-34 ResNet-50"),
    ("redundancy.weights", "scratch", L20, "Table 4", FROM_SCRATCH),
    ("redundancy.layers", {"vgg16_bn": VGG, "resnet18": RESNETS, "resnet34": RESNETS}, L20,
     "Table 4", "VGG-16 conv4-3 VGG-16 conv5-2"),
    ("compression.architecture", "vgg16_bn", L20, "Sec. 4.4",
     "we trained the VGG-16 using the CUB200-2011 dataset"),
    ("born_again.generations", 5, L20, "Sec. 4.5",
     "We trained born-again neural networks of another four generations"),
    ("concepts.dataset", ["cub", "det", "voc"], C20, "Sec. 4.1",
     "We trained these DNNs based on the ILSVRC-2013 DET dataset [35], the CUB200-2011 dataset "
     "[39], and the Pascal VOC 2012 dataset [6]."),
    ("concepts.architectures",
     ["alexnet", "vgg11", "vgg16", "vgg19", "resnet50", "resnet101", "resnet152"], C20, "Sec. 4.1",
     "AlexNet [22], VGG-11, VGG-16, VGG-19 [38], ResNet-50, ResNet-101, and ResNet-152 [18]"),
    ("concepts.layers", ["fc1", "fc2", "fc3"], C20, "Sec. 4.1", THREE_LAYERS),
    ("concepts.dataset_layers", {"det": ["fc1", "fc2"], "voc": ["fc1", "fc2"]}, C20, "Sec. 4.1",
     TWO_LAYERS),
    ("concepts.thresholds", {"alexnet": 0.25, "vgg": 0.2, "resnet": 0.2}, C20, "Sec. 4.1",
     "it was set to 0.25 for AlexNet, and was set to 0.2 for other DNNs"),
    ("concepts.dataset_augment", {"cub": False}, C20, "Sec. 4.1",
     "For the ILSVRC-2013 DET dataset and the Pascal VOC 2012 dataset, data augmentation [17] was "
     "applied to prevent overfitting."),
    ("concepts.table2", {"teacher": "scratch", "architectures": ["vgg16"],
                         "datasets": ["cub", "det"]}, C20, "Sec. 4.2",
     "We learned a teacher network from scratch, on the ILSVRC-2013 DET dataset and the "
     "CUB200-2011 dataset."),
    ("concepts.table2.architectures", ["vgg16"], C20, "Sec. 4.2",
     "Without loss of generality, VGG-16 was chosen, and results were reported in Table 2."),
    ("concepts.training.teacher_augment", "crop", C20, "Sec. 4.2",
     "In order to boost the performance of the teacher network, data augmentation [17] was used."),
    ("concepts.table3.teacher", "pretrained", C20, "Sec. 4.1", TEACHERS),
    ("datasets.cub.crop", 1.0, C20, "Sec. 4.1",
     "we used object images cropped by object bounding boxes for both training and testing"),
    ("datasets.voc.crop", 1.2, C20, "Sec. 4.1",
     "images were cropped by using $1.2 \\text{ width} \\times 1.2 \\text{ height}$ of the "
     "original object bounding box"),
    ("datasets.det.crop", 1.5, C20, "Sec. 4.1",
     "we cropped each image by using $1.5 \\text{ width} \\times 1.5 \\text{ height}$ of the "
     "original object bounding box"),
    ("datasets.det.box_foreground", True, C20, "Sec. 4.1",
     "we used the object bounding box as the foreground region"),
)  # fmt: skip
"""Printed in the papers."""
CHECKPOINTS = [0, 2, 5, 10, 15, 20, 25, 30, 40, 50, 70, 90, 110, 130, 150]
RELEASED: tuple[tuple[str, Any, str], ...] = (
    ("training.epochs", 300, "300 epochs CUB and Mix, 150 VOC"),
    ("training.dataset_epochs", {"objects": 150, "mix": 300}, "300 epochs CUB and Mix, 150 VOC"),
    ("training.batch_size", 128, "batch 128"),
    ("training.learning_rate", 0.01, "SGD 0.01, momentum 0.9, weight decay 1e-4"),
    ("training.weight_decay", 1e-4, "SGD 0.01, momentum 0.9, weight decay 1e-4"),
    ("training.schedule", "step", "x0.3 every 60 epochs"),
    ("training.step_epochs", 60, "x0.3 every 60 epochs"),
    ("training.step_factor", 0.3, "x0.3 every 60 epochs"),
    ("tails.refine.first_rate", 1e-5, "Adam 1e-5 -> 1e-7 log-spaced"),
    ("tails.refine.last_rate", 1e-7, "Adam 1e-5 -> 1e-7 log-spaced"),
    ("tails.refine.epochs", 100, "batch 64, 100 epochs"),
    ("concepts.images", 50, "50 kept of 500 drawn"),
    ("concepts.entropy", "released", "SGD 1e-4, 80 steps, 96 fresh noise draws each"),
    ("concepts.training.epochs", 150, "batch 64, 150"),
    ("concepts.training.batch_size", 64, "batch 64, 150"),
    ("concepts.training.checkpoints", CHECKPOINTS, ", ".join(map(str, CHECKPOINTS))),
    ("concepts.training.finetune_rate", 1e-3, "1e-3 -> 1e-4 from ImageNet weights"),
    ("concepts.training.teacher_rate", 1e-2, "1e-2 -> 1e-3 from scratch"),
    ("concepts.training.baseline_rate", 1e-2, "1e-2 -> 1e-3 from scratch"),
    ("concepts.training.family_rates", {"resnet": 10}, "(ResNets ten times that)"),
    ("concepts.training.distil_rates.vgg", {"fc1": 1e-4, "fc2": 1e-3, "fc3": 1e-3},
     "VGG, AlexNet: rates 1e-4 for fc1, 1e-3 for fc2 and fc3"),
    ("concepts.training.distil_rates.alexnet", {"fc1": 1e-4, "fc2": 1e-3, "fc3": 1e-3},
     "VGG, AlexNet: rates 1e-4 for fc1, 1e-3 for fc2 and fc3"),
    ("concepts.training.distil_rates.resnet",
     {"fc1": [10.0, 0.1], "fc2": [0.1, 0.01], "fc3": [0.1, 0.01]},
     "ResNet in the released code: 10 -> 0.1 for fc1, 0.1 -> 0.01 for fc2, 0.1 or 0.01 for fc3"),
    ("concepts.training.above.epochs", 100, "layers above then on labels, 100 epochs"),
)  # fmt: skip
"""Not printed, but in the authors' code, as ``docs/method.md`` of the project's papers lists it."""
RELEASED_UNLISTED = ("concepts.training.distil_loss", "concepts.training.new_layers")
"""In the authors' code, without a line in that list."""
OURS = (
    *("results", "device", "jobs", "cluster", "networks", "consistency.memory_gb", "pictures"),
    *(f"datasets.*.{name}" for name in ("layout", "archive", "url", "md5", "files", "images")),
    *("datasets.*.size", "datasets.*.box_foreground", "datasets.det.synsets", "tails.fresh"),
    *("stability.seeds", "stability.half_splits", "diagnosis.weights", "compression.retraining"),
    *("baselines.studies", "concepts.seeds", "concepts.max_batch"),
    "concepts.training.above.batch_size",
)
"""Neither printed nor in the authors' code: machines, downloads, and what the papers leave open."""


@pytest.fixture(scope="module")
def paper() -> Settings:
    return read_settings([ROOT / "config.yaml", PRESET], {"data_root": "/data"})


def value_of(settings: Settings, key: str) -> Any:
    found: Any = settings.model_dump(mode="json")
    for part in key.split("."):
        found = found[part]
    return found


def without_none(found: Any) -> Any:
    if isinstance(found, dict):
        return {name: one for name, one in found.items() if one is not None}
    return found


@pytest.mark.parametrize(("key", "value"), [(row[0], row[1]) for row in (*PRINTED, *RELEASED)])
def test_the_preset_has_the_papers_values(paper: Settings, key: str, value: Any):
    found = value_of(paper, key)
    if key == "datasets.mix.parts":
        assert set(found) == set(value)
    else:
        assert without_none(found) == value


def test_quotes_are_in_the_papers():
    folder = Path(os.environ.get("KC_SHARED", "")) / "papers"
    if "KC_SHARED" not in os.environ or not folder.is_dir():
        pytest.skip("KC_SHARED does not name a folder with papers/")

    def plain(text: str) -> str:
        return re.sub(r"\s+", " ", text)

    texts = {name: plain((folder / f"{name}.txt").read_text()) for name in (L20, C20)}
    missing = [row for row in PRINTED if plain(row[4]) not in texts[row[2]]]
    assert not missing
    method = plain((folder.parent / "docs" / "method.md").read_text())
    assert not [row for row in RELEASED if plain(row[2]) not in method]


def leaves(found: Any, path: str = "") -> list[str]:
    if not isinstance(found, dict):
        return [path]
    return [leaf for name in found for leaf in leaves(found[name], f"{path}.{name}".strip("."))]


def test_every_key_of_the_preset_is_printed_released_or_listed_as_ours():
    known = [*(row[0] for row in (*PRINTED, *RELEASED)), *RELEASED_UNLISTED, *OURS]
    patterns = [re.compile(re.escape(key).replace(r"\*", r"[^.]+") + r"(\..*)?") for key in known]
    keys = leaves(yaml.safe_load(PRESET.read_text()))
    assert [key for key in keys if not any(one.fullmatch(key) for one in patterns)] == []


def test_one_run_makes_tables_from_scratch_and_fine_tuned_networks(paper: Settings):
    found = plans(paper)
    weights = {study: {n.weights for n in plan.networks} for study, plan in found.items()}
    assert weights["diagnosis"] == {"pretrained"}  # AlexNet's 56.97 %, ResNet-34's 73.09 %
    for study in ("stability", "refinement", "redundancy"):
        assert weights[study] == {"scratch"}
    about = paper.of(Concepts)
    assert {cell.teacher_start for cell in cells_of(about, "table2")} == {"scratch"}
    assert {cell.teacher_start for cell in cells_of(about, "table3")} == {"pretrained"}
    # Tables 2 and 3 print the same baselines on CUB: 22.50, 23.31 and 23.26 concepts
    names = [plan.name for plan in concept_networks(about)]
    assert names.count("cub-vgg16-seed0-baseline") == 1
    assert len(paper.datasets["det"].synsets) == SYNSETS


def test_intervals_have_the_networks_they_need(paper: Settings):
    found = paper.model_dump()
    assert len(found["stability"]["seeds"]) >= 5
    assert found["stability"]["half_splits"] >= 5
    assert len(found["concepts"]["seeds"]) >= 3
