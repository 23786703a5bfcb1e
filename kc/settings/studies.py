"""Settings of the studies: one section each, read by the rule of that name."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from kc.names import Architecture
from kc.settings.sections import (
    Count,
    Distinct,
    Layer,
    Layers,
    LayersOf,
    Name,
    Positive,
    Section,
    Seed,
    Seeds,
    Share,
)


class Stability(Section):
    """Instability of training: Tables 1 and 2 of [L20]."""

    dataset: Name = "birds"
    layers: LayersOf = Field(
        {
            "alexnet": ("conv4", "conv5"),
            "vgg16_bn": ("conv4_3", "conv5_3"),
            "resnet34": ("last_conv",),
        },
        description="layers compared, by architecture; a graph node name serves as well",
    )
    seeds: Annotated[tuple[Seed, ...], Field(min_length=2, max_length=64), Distinct] = Field(
        (0, 1, 2), description="case 1: one network each; intervals need three"
    )
    half_splits: Annotated[int, Field(ge=0, le=100)] = Field(
        3, description="case 2: random half-splits; intervals need three"
    )
    half_images: bool = Field(
        True, description="case 1: fit once more on half the images, to see how far g overfits"
    )


class Refine(Section):
    """Further training of a trained tail [L20, App. A]: Adam, its rate log-spaced by epoch."""

    epochs: Count = 100
    batch_size: Count = 64
    first_rate: Positive = 1e-5
    last_rate: Positive = 1e-7
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4


class Fresh(Section):
    """Training of a tail from fresh weights: SGD, its rate up for 30 % of the steps, then down."""

    epochs: Count = 30
    batch_size: Count = 64
    peak_rate: Positive = 0.02
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4


class Tails(Section):
    """How what lies above a tap is trained on fixed features."""

    refine: Refine = Refine()
    fresh: Fresh = Fresh()
    seed: Seed = 0


class Pictures(Section):
    """What pictures of feature maps show."""

    filters: Annotated[int, Field(ge=1, le=100)] = Field(2, description="filters shown of a layer")
    images: Annotated[int, Field(ge=1, le=100)] = Field(2, description="images shown of a filter")


class Diagnosis(Section):
    """Blind spots and unreliable features of a weak network [L20, Sec. 4.1]."""

    dataset: Name = "birds"
    weak: Architecture = "alexnet"
    weak_layer: Layer = "conv5"
    strong: Architecture = "resnet34"
    strong_layer: Layer = "last_conv"
    seed: Seed = 0


class Refinement(Section):
    """Features of A that B's tail reads better than B's own [L20, Table 3]."""

    dataset: Name = "birds"
    layers: LayersOf = {
        "vgg16_bn": ("conv4_3", "conv5_2"),
        "resnet18": ("last_conv",),
        "resnet34": ("last_conv",),
    }
    seeds: Seeds = Field((0, 1), description="of A, which reconstructs, and of B")


class Task(Section):
    """Some classes of a data set: those of one superclass."""

    dataset: Name
    superclass: Name


class Redundancy(Section):
    """Features cleared of what a part of the classes does not need [L20, Table 4]."""

    tasks: dict[Name, Task] = {
        "voc_animal": Task(dataset="objects", superclass="animal"),
        "mix_cub": Task(dataset="mix", superclass="bird"),
        "mix_dogs": Task(dataset="mix", superclass="dog"),
    }
    layers: LayersOf = {"vgg16_bn": ("conv4_3", "conv5_2"), "resnet18": ("last_conv",)}
    seeds: Seeds = Field((0, 1), description="of A, which reconstructs, and of B")


class Retraining(Section):
    """Training of a pruned network with its masks held."""

    epochs: Count = 10
    learning_rate: Positive = 0.005


class Compression(Section):
    """What pruning throws away [L20, Fig. 4 left]."""

    dataset: Name = "birds"
    architecture: Architecture = "vgg16_bn"
    layers: Layers = ("conv4_3", "conv5_3")
    seed: Seed = 0
    removed: Annotated[tuple[Share, ...], Field(min_length=1, max_length=100)] = (
        *(0.5, 0.8, 0.9, 0.933, 0.97),
    )
    retraining: Retraining = Retraining()

    @model_validator(mode="after")
    def _shares_have_names_of_their_own(self) -> "Compression":
        names = [f"{100 * share:g} %" for share in self.removed]
        if len(set(names)) < len(names):
            raise ValueError(f"removed {', '.join(names)}: no share may stand twice")
        return self


class Distillation(Section):
    """The teacher's part of a born-again network's loss."""

    weight: Annotated[float, Field(ge=0)] = 0.5
    tau: Positive = 1.0


class BornAgain(Section):
    """What each generation of born-again networks adds [L20, Fig. 4 right]."""

    dataset: Name = "birds"
    architecture: Architecture = "vgg16_bn"
    layers: Layers = ("conv4_3", "conv5_3")
    seed: Seed = 0
    generations: Annotated[int, Field(ge=2, le=100)] = 5
    distillation: Distillation = Distillation()


class CrossTask(Section):
    """What networks of two tasks share: A tells all classes, B only superclasses [L20, Fig. 5]."""

    task: Literal["superclass", "both"] = Field(
        "superclass", description="of B; both: a head for classes and one for superclasses"
    )
    dataset: Name = "mix"
    architecture: Architecture = "vgg16_bn"
    layers: Layers = ("conv4_3", "conv5_3")
    seed: Seed = 0


class Orders(Section):
    """Pictures of the components by order [L20, Fig. 1], of networks of different seeds."""

    dataset: Name = "birds"
    layers: LayersOf = {"vgg16_bn": ("conv5_3",)}
    seeds: Seeds = (0, 1)


class Baselines(Section):
    """The measures others use, beside every pair of the studies named."""

    studies: Annotated[tuple[Name, ...], Field(min_length=1), Distinct] = (
        "stability",
        "diagnosis",
        "refinement",
        "compression",
        "born_again",
        "cross_task",
    )
