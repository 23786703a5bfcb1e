"""Training of a network, or of its layers up to one, with checkpoints at chosen epochs."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import pandas as pd
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms import v2

from kc.concepts.distance import WeightDistance
from kc.errors import NetworkError
from kc.images import normalise
from kc.networks.checkpoint import STATE, load_state, save_state, save_weights
from kc.networks.epoch import MOMENTUM, Outcome, Steering, run_epoch, set_rate, shuffled_batches
from kc.networks.train import LabelledPictures, augment
from kc.progress import progress_bar
from kc.runtime import derive_seed
from kc.settings.concepts import Lessons
from kc.store.product import Product

RATE_FALL = 0.1
"""Last learning rate over first, unless the settings name both; log-spaced over the epochs."""
WEIGHT_DECAY = 1e-4
PARTS = 128
"""Divisor of the squared distance of student and teacher."""
ALL = "all"
"""Name of the distance over all parameters, by epoch."""
UP_TO = "up_to_"
"""Prefix, before a layer's name, of the distance of all parameters up to that layer, by epoch."""


class Lesson(NamedTuple):
    """What is trained, and by which loss."""

    part: nn.Module
    """The trained part: the model, or its layers up to one."""
    loss: Callable[[Tensor, Tensor], Float[Tensor, ""]]
    """Loss of normalised pictures and their labels."""


class Course(NamedTuple):
    """How one network is trained."""

    name: str
    lessons: Lessons
    rate: float
    """Learning rate of the first epoch."""
    seed: int
    device: torch.device
    crops: bool = False
    """Crop each picture at random, instead of ``lessons.augment``."""
    fall: float = RATE_FALL
    """Last learning rate over first."""


class Watched(NamedTuple):
    """Parameters whose distance is summed in training, by name."""

    by_step: Mapping[str, Tensor]
    """Weights of single layers, as released."""
    by_epoch: Mapping[str, list[Tensor]]
    """Many parameters, as printed [C20, Eq. (4)]."""


def label_lesson(model: nn.Module) -> Lesson:
    """Return the lesson that trains the complete network on labels."""
    return Lesson(model, lambda pictures, labels: F.cross_entropy(model(pictures), labels))


def distillation_lesson(
    head: nn.Module, teacher: nn.Module, form: Literal["printed", "released"] = "printed"
) -> Lesson:
    r"""Return the lesson that trains layers on a teacher's output [C20, Sec. 4.1].

    .. math:: \mathrm{loss} = \|f_T(x) - f_S(x)\|^2 / n, \quad
              n = 128 \text{ (printed)}, \quad n = \text{units (released)}

    before the ReLU, without labels, mean over pictures. ``teacher`` is in eval mode. The paper's n
    is 1. A constant keeps its loss within a factor, and one rate then suits all layers; the number
    of units makes the steps of a layer of six outputs twenty times those of one of 128.
    """

    def loss(pictures: Tensor, labels: Int[Tensor, " n"]) -> Float[Tensor, ""]:  # noqa: ARG001
        with torch.no_grad():
            wanted = teacher(pictures)
        found = F.mse_loss(head(pictures), wanted)
        return found * (wanted.shape[1] / PARTS) if form == "printed" else found

    return Lesson(head, loss)


def checkpoint_file(epoch: int) -> str:
    """Return the name of the file of an epoch's weights."""
    return f"checkpoint-{epoch:03d}.safetensors"


def train_to_checkpoints(
    model: nn.Module,
    lesson: Lesson,
    pictures: LabelledPictures,
    course: Course,
    watched: Watched,
    product: Product,
) -> pd.DataFrame:
    """Train a part of ``model`` in place; save the model at the listed epochs in ``product``.

    An interrupted run resumes at the last checkpoint and ends with the same bits.

    Returns
    -------
    DataFrame
        One row per epoch, from 0: epoch, loss, learning_rate, and for each name in ``watched`` the
        distance so far and its divisor (``distance_NAME``, ``norm_NAME``).

    Raises
    ------
    NetworkError
        Training diverged.
    """
    lessons = course.lessons
    optimiser = torch.optim.SGD(
        lesson.part.parameters(),
        lr=course.rate,
        momentum=MOMENTUM,
        weight_decay=WEIGHT_DECAY,
    )
    state = product.folder / STATE
    history = load_state(state, model, optimiser)
    steps = {name: [weight] for name, weight in watched.by_step.items()}
    ways = _ways({**watched.by_epoch, **steps}, history)
    if not history:
        history.append(_row(0, float("nan"), float("nan"), ways))
        _keep(model, 0, lessons, product)
    each_step = [ways[name] for name in watched.by_step]
    todo = range(len(history) - 1, lessons.epochs)
    for epoch in progress_bar(todo, desc=course.name, unit="epoch"):
        rate = rate_at(course, epoch)
        loss = _epoch(lesson, pictures, course, optimiser, epoch, each_step)
        for name in watched.by_epoch:
            ways[name].update()
        history.append(_row(epoch + 1, loss, rate, ways))
        if not torch.tensor(loss).isfinite():
            raise NetworkError(
                f"{course.name}: training diverged in epoch {epoch + 1} (loss {loss}). "
                f"Fix: lower its rate in concepts.training (it was {course.rate})."
            )
        if _keep(model, epoch + 1, lessons, product):
            save_state(state, model, optimiser, history)
    return pd.DataFrame(history)


def rate_at(course: Course, epoch: int) -> float:
    """Return the learning rate of an epoch, from 0, log-spaced down to ``rate * fall``."""
    last = max(1, course.lessons.epochs - 1)
    return float(course.rate * course.fall ** (epoch / last))


def _epoch(
    lesson: Lesson,
    pictures: LabelledPictures,
    course: Course,
    optimiser: torch.optim.SGD,
    epoch: int,
    each_step: list[WeightDistance],
) -> float:
    """Train one epoch; random choices depend only on (seed, epoch), so a restart changes none."""
    lesson.part.train()
    rate, device = set_rate(optimiser, rate_at(course, epoch)), course.device
    seed = derive_seed("concepts epoch", course.seed, epoch)
    generator = torch.Generator().manual_seed(seed)
    batches = shuffled_batches(len(pictures.labels), course.lessons.batch_size, generator)

    def look(batch: Tensor) -> Outcome:
        shown = _shown(pictures.images[batch], course, generator)
        batched = normalise(shown).to(device, memory_format=torch.channels_last)
        return Outcome(lesson.loss(batched, pictures.labels[batch].to(device)))

    def walk() -> None:
        for way in each_step:
            way.update()

    found = run_epoch(batches, look, optimiser, Steering(lambda _: rate, walk), seed, device)
    lesson.part.eval()
    return found.loss


def _shown(pictures: Tensor, course: Course, generator: torch.Generator) -> Tensor:
    return (
        cropped_at_random(pictures, generator)
        if course.crops
        else augment(pictures, course.lessons.augment, generator)
    )


def cropped_at_random(
    pictures: UInt8[Tensor, "n 3 y x"], generator: torch.Generator
) -> UInt8[Tensor, "n 3 y x"]:
    """Mirror half of the pictures, and enlarge a random part of each to its full size.

    A part has at least a quarter of the picture, with sides 3:4 to 4:3. The ImageNet recipe that
    [C20, Sec. 4.2] cites as [17] starts at 8 %, too little for pictures cropped to an object.
    """
    seed = int(torch.randint(2**31, (), generator=generator))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        cut = v2.RandomResizedCrop(pictures.shape[-2:], scale=(0.25, 1.0), antialias=True)
        mirror = v2.RandomHorizontalFlip()
        return torch.stack([mirror(cut(picture)) for picture in pictures])


def _ways(
    parameters: Mapping[str, list[Tensor]], history: list[dict[str, Any]]
) -> dict[str, WeightDistance]:
    """Start the distances, or resume those of the last row."""
    last = history[-1] if history else {}
    return {
        name: WeightDistance(
            some, (last[f"norm_{name}"], last[f"distance_{name}"]) if last else None
        )
        for name, some in parameters.items()
    }


def _row(
    epoch: int, loss: float, rate: float, ways: Mapping[str, WeightDistance]
) -> dict[str, Any]:
    row = {"epoch": epoch, "loss": loss, "learning_rate": rate}
    for name, way in ways.items():
        row[f"norm_{name}"], row[f"distance_{name}"] = way.state
    return row


def _keep(model: nn.Module, epoch: int, lessons: Lessons, product: Product) -> bool:
    """Write and seal a checkpoint if one is due at this epoch; return whether it was."""
    if epoch not in lessons.checkpoints:
        return False
    save_weights(model, product.folder / checkpoint_file(epoch))
    product.seal(checkpoint_file(epoch))
    return True
