"""Settings of the concepts study: its networks, their training, and the entropy maps."""

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, model_validator

from kc.names import Architecture, Start
from kc.settings.recipes import Fresh
from kc.settings.sections import (
    Count,
    Distinct,
    Name,
    Positive,
    Section,
    Seed,
    StudySection,
    Words,
)

FC = Literal["fc1", "fc2", "fc3"]
"""Fully connected layers, from the input side."""
FCLayers = Annotated[tuple[FC, ...], Field(min_length=1), Distinct]
Classes = Annotated[tuple[Words, ...], Distinct]
Family = Literal["alexnet", "vgg", "resnet"]
Role = Literal["teacher", "student", "baseline"]
ROLES: tuple[Role, ...] = ("teacher", "student", "baseline")
"""In the order in which they are made and shown."""
PaperTable = Literal["table2", "table3"]
TABLES: tuple[PaperTable, ...] = ("table2", "table3")


type Rate = Positive | tuple[Positive, Positive]
"""First learning rate, which falls to a tenth, or first and last."""


class DistilRates(Section):
    """A student's learning rates by the layer whose output it imitates; none: the baseline's."""

    fc1: Rate | None = None
    fc2: Rate | None = None
    fc3: Rate | None = None


class Lessons(Section):
    """How teacher, student and baseline are trained; the defaults are for small networks."""

    epochs: Count = 30  # [C20]: 150
    checkpoints: Annotated[tuple[int, ...], Field(max_length=1000)] = Field(
        # released: 0, 2, 5, 10, 15, 20, 25, 30, 40, 50, 70, 90, 110, 130, 150
        (0, 1, 2, 5, 10, 20, 30),
        description="epochs whose weights are kept and analysed; the last is 'epochs'",
    )
    classes: Classes = Field(
        (), description="names of the classes to distinguish; none: all of the data set"
    )
    batch_size: Count = 32  # released: 64
    teacher_rate: Positive = Field(0.02, description="of a teacher from scratch; released: 1e-2")
    finetune_rate: Positive = Field(
        0.002, description="of a teacher that starts from pretrained weights; released: 1e-3"
    )
    new_layers: Annotated[int, Field(ge=1, le=3)] = Field(
        1,
        description="fully connected layers, from the last one, that are new in a teacher from "
        "pretrained weights; released: 3 (of ResNets all are)",
    )
    baseline_rate: Positive = Field(0.02, description="released: 1e-2")
    family_rates: dict[Family, Positive] = Field(
        {}, description="factor on the rates of teacher and baseline; released: resnet 10"
    )
    distil_loss: Literal["printed", "released"] = Field(
        "printed",
        description="printed: squared distance of the outputs of student and teacher, over 128; "
        "released: over the number of units (the MSE), to which the released rates belong",
    )
    distil_rates: dict[Family, DistilRates] = Field(
        {},
        description="of students, by family and layer: the first, which falls to a tenth, or first "
        "and last; none: the baseline's, so that weight distances compare. released: 1e-4 for fc1, "
        "1e-3 for fc2 and fc3; resnet: 10 to 0.1 for fc1, 0.1 to 0.01 for fc2 and fc3",
    )
    augment: bool = Field(True, description="mirror and shift training pictures")
    teacher_augment: Literal["shift", "crop"] = Field(
        "shift",
        description="of teachers from scratch; shift: as augment says; crop: mirror, and crop each "
        "picture at random, the stronger augmentation of [C20, Table 2]",
    )
    above: Fresh = Field(
        # released: 100 epochs
        Fresh(epochs=20, batch_size=32),
        description="of the student's upper layers, on labels, while those below are fixed",
    )

    def distil_rate(self, architecture: str, layer: str) -> float | tuple[float, float] | None:
        """Return a student's own learning rate, or first and last one; None: the baseline's."""
        own = [by for name, by in self.distil_rates.items() if architecture.startswith(name)]
        return getattr(own[0], layer) if own else None

    @model_validator(mode="after")
    def _checkpoints_rise_to_the_end(self) -> "Lessons":
        found = list(self.checkpoints)
        if found != sorted(set(found)) or not found or found[0] < 0 or found[-1] != self.epochs:
            raise ValueError(
                f"checkpoints {found} must increase, from 0 or later to the last epoch, "
                f"{self.epochs}"
            )
        return self


class TableNetworks(Section):
    """The networks of one of the two tables."""

    teacher: Start = Field(
        "scratch",
        description="what teachers start from: scratch, or pretrained (networks.NAME.weights). "
        "Students and baselines start from scratch",
    )
    architectures: Annotated[tuple[Architecture, ...], Distinct] = Field(
        (), description="none: those of the study"
    )
    datasets: Annotated[tuple[Name, ...], Distinct] = Field(
        (), description="some of the study's; none: all"
    )


class Concepts(StudySection):
    """Visual concepts in knowledge distillation: Tables 2 and 3 of [C20]."""

    dataset: Name | Annotated[tuple[Name, ...], Field(min_length=1), Distinct] = Field(
        "objects", description="a data set with known foreground, or several, one after another"
    )
    # [C20]: alexnet, vgg11, vgg16, vgg19, resnet50, resnet101, resnet152
    architectures: Annotated[tuple[Architecture, ...], Field(min_length=1), Distinct] = (
        "alexnet",
        "vgg11",
    )
    layers: FCLayers = ("fc1", "fc2", "fc3")
    dataset_layers: dict[Name, FCLayers] = Field(
        {}, description="layers by data set, in place of layers; [C20]: no fc3 on DET and VOC"
    )
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1, max_length=64), Distinct] = Field(
        (0, 1, 2),
        description="each gives a teacher, its students and a baseline; three or more: intervals "
        "over seeds, else over images",
    )
    table2: TableNetworks = Field(TableNetworks(), description="[C20]: teachers from scratch")
    table3: TableNetworks = Field(TableNetworks(), description="[C20]: teachers from ImageNet")
    training: Lessons = Lessons()
    dataset_augment: dict[Name, bool] = Field(
        {}, description="by data set, in place of training.augment; [C20]: not on CUB"
    )
    dataset_classes: dict[Name, Classes] = Field(
        {},
        description="classes to distinguish by data set, in place of training.classes; none: all",
    )
    images: Count = Field(40, description="training images analysed; released: 50 of 500")
    entropy: Literal["fast", "released", "paper"] = Field(
        "fast", description="preset of the entropy search; fast: as released, with fewer steps"
    )
    figure_images: Count = Field(
        3, description="images in the figures of maps, at evenly spaced ranks of their concepts"
    )
    max_batch: Count = Field(96, description="images x draws in one pass; memory limits it")
    seed: Seed = Field(0, description="of the noise")
    thresholds: dict[Family, Positive] = Field(
        {"alexnet": 0.25, "vgg": 0.2, "resnet": 0.2}, description="b, nats"
    )
    level: Literal["image", "released"] = Field(
        "image", description="Hbar: of each image's background, or averaged over images as released"
    )
    effective: bool = Field(
        False,
        description="released: leave out images whose background has less entropy than the "
        "foreground at late checkpoints; this selects in favour of the claim",
    )

    @property
    def datasets(self) -> tuple[str, ...]:
        """Return the data sets, whether one is named or several."""
        return (self.dataset,) if isinstance(self.dataset, str) else self.dataset

    def datasets_named(self) -> Iterable[tuple[str, str]]:
        """Return the keys that name a data set, each with the data set."""
        yield from (("dataset", dataset) for dataset in self.datasets)
        yield from (("dataset_layers", dataset) for dataset in self.dataset_layers)
        yield from (("dataset_augment", dataset) for dataset in self.dataset_augment)
        yield from (("dataset_classes", dataset) for dataset in self.dataset_classes)

    def layers_named(self) -> tuple[()]:
        """Return nothing: its layers are fully connected, and their type checks them."""
        return ()

    def starts(self) -> frozenset[Start]:
        """Return what its teachers start from."""
        return frozenset((self.table2.teacher, self.table3.teacher))

    def of_table(self, table: PaperTable) -> TableNetworks:
        """Return which networks Table 2 or 3 is of."""
        return self.table2 if table == "table2" else self.table3

    @property
    def all_architectures(self) -> tuple[Architecture, ...]:
        """Return the architectures of both tables, each once."""
        both = (*self.table2.architectures, *self.table3.architectures)
        return tuple(dict.fromkeys((*self.architectures, *both)))

    def layers_of(self, dataset: str) -> tuple[FC, ...]:
        """Return the layers that are analysed in the networks of a data set."""
        return self.dataset_layers.get(dataset, self.layers)

    def lessons_of(self, dataset: str) -> Lessons:
        """Return how the networks of a data set are trained: its classes, its augmentation."""
        classes = self.dataset_classes.get(dataset, self.training.classes)
        augment = self.dataset_augment.get(dataset, self.training.augment)
        return self.training.model_copy(update={"classes": classes, "augment": augment})

    def threshold(self, architecture: str) -> float:
        """Return b, nats, of an architecture's family."""
        return next(b for name, b in self.thresholds.items() if architecture.startswith(name))

    @model_validator(mode="after")
    def _families_have_a_threshold(self) -> "Concepts":
        for architecture in self.all_architectures:
            if not any(architecture.startswith(name) for name in self.thresholds):
                raise ValueError(f"thresholds has no value for {architecture}")
        return self

    @model_validator(mode="after")
    def _tables_are_of_the_studys_data_sets(self) -> "Concepts":
        for table in TABLES:
            for dataset in self.of_table(table).datasets:
                if dataset not in self.datasets:
                    raise ValueError(
                        f"{table}.datasets: '{dataset}' is not among the study's data sets "
                        f"({', '.join(self.datasets)}). Fix: add it to dataset"
                    )
        return self
