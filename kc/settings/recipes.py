"""Settings of how networks and their tails are built and trained."""

from typing import Annotated, Literal

from pydantic import Field

from kc.names import Start
from kc.settings.sections import Count, Name, Positive, Section, Seed, Share, Words


class Recipe(Section):
    """Training of a classifier. The defaults are ours, for small networks."""

    epochs: Count = 30
    dataset_epochs: dict[Name, Count] = Field(
        {}, description="epochs by data set, in place of epochs"
    )
    batch_size: Count = 32
    learning_rate: Positive = 0.05
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    schedule: Literal["one_cycle", "step"] = Field(
        "one_cycle",
        description="one_cycle: up over the first 30 %, then down by a cosine; step: see below",
    )
    step_epochs: Count = Field(60, description="schedule step: epochs between two drops")
    step_factor: Share = Field(0.3, description="schedule step: factor of each drop")
    augment: bool = Field(False, description="mirror and shift training pictures")
    halves_keep_steps: bool = Field(
        True, description="train networks on half the images for twice the epochs"
    )
    checkpoint_epochs: Count = Field(
        10, description="epochs between two saved states; an interruption loses at most these"
    )


class Network(Section):
    """The shape of one architecture; the defaults are torchvision's own."""

    width: Annotated[float, Field(ge=0.01, le=1)] = Field(1.0, description="factor on all channels")
    head_units: Annotated[int, Field(ge=1, le=65_536)] | None = Field(
        None,
        description="units of the hidden fully connected layers (VGG, AlexNet); none: unchanged",
    )
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    small_input: bool = Field(
        False,
        description="AlexNet: first stride 2, so that pictures of 64 px give large enough maps",
    )
    weights: Words | None = Field(
        None,
        description="weights of networks that start from pretrained ones, as their study says: "
        "imagenet (torchvision's, in torch's cache) or a file; none: imagenet",
    )
    learning_rate: Positive | None = Field(None, description="replaces the recipe's")
    epochs: Count | None = Field(None, description="replaces the recipe's")

    def started(self, start: Start) -> "Network":
        """Return the shape with the weights that are loaded, None from scratch."""
        weights = (self.weights or "imagenet") if start == "pretrained" else None
        return self.model_copy(update={"weights": weights})


class Retraining(Section):
    """Training of a pruned network while its masks are fixed."""

    epochs: Count = 10
    learning_rate: Positive = 0.005


class Distillation(Section):
    """The teacher's part of a born-again network's loss."""

    weight: Annotated[float, Field(ge=0)] = 0.5
    tau: Positive = 1.0


class Refine(Section):
    """Further training of a trained tail [L20, App. A]: Adam, its rate log-spaced by epoch."""

    epochs: Count = 100
    batch_size: Count = 64
    first_rate: Positive = 1e-5
    last_rate: Positive = 1e-7
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4


class Fresh(Section):
    """Training of a tail from fresh weights: SGD, rate up for 30 % of the steps, then down."""

    epochs: Count = 30
    batch_size: Count = 64
    peak_rate: Positive = 0.02


class Tails(Section):
    """Training of the layers above a tap on fixed features."""

    refine: Refine = Refine()
    fresh: Fresh = Fresh()
    seed: Seed = 0
