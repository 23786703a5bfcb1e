"""Training of a tail (the layers above a tap) on fixed features: a network's own or g(x)."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from kc.errors import NetworkError
from kc.networks.epoch import MOMENTUM, Outcome, Steering, run_epoch
from kc.progress import progress_bar
from kc.runtime import derive_seed
from kc.settings.recipes import Fresh, Refine

BLOCK = 256
WEIGHT_DECAY = 1e-4
"""Of a tail trained from fresh weights."""


@runtime_checkable
class Features(Protocol):
    """Features that are read in batches: from memory, or computed on demand."""

    def __len__(self) -> int:
        """Count the images."""
        ...

    def batch(self, rows: np.ndarray) -> Tensor:
        """Return float32 features (n, ...) of some rows, in the units of the tapped layer.

        They are computed without gradients, but outside :func:`torch.inference_mode`, whose
        tensors cannot be used in training.
        """
        ...


@dataclass(frozen=True)
class HeldFeatures:
    """Features in memory, in any float type."""

    values: Float[Tensor, "n *feature"]

    def __len__(self) -> int:
        return len(self.values)

    def batch(self, rows: np.ndarray) -> Tensor:
        """Return float32 features of some rows."""
        return self.values[torch.from_numpy(rows)].float()


TailRecipe = Refine | Fresh


class TailResult(NamedTuple):
    """A trained tail and its history."""

    tail: nn.Module
    """In eval mode, on the device of training, with the weights of the last epoch."""
    history: pd.DataFrame
    """One row per epoch: epoch, loss, train_accuracy (percent), learning_rate."""


def train_tail(
    tail: nn.Module,
    features: Features,
    labels: Int[Tensor, " n"],
    recipe: TailRecipe,
    seed: int,
    device: torch.device,
) -> TailResult:
    """Train a copy of a tail on fixed features; the layers below the tap do not change.

    The number of epochs is fixed and the last epoch is kept. The order of the rows and dropout
    depend only on the seed: tails with the same seed see the same images in the same batches.
    Batch norm trains as usual; a last batch of one image is left out, since it would break it.

    Raises
    ------
    NetworkError
        Features, labels and tail do not match, or training diverged.
    """
    check_fit(tail, features, labels)
    model = copy.deepcopy(tail).to(device)
    batches = len(_order(len(labels), recipe.batch_size, seed))
    optimiser, schedule = _steering(model, recipe, batches)
    steering = Steering(lambda _: float(schedule.get_last_lr()[0]), schedule.step)
    history: list[dict[str, Any]] = []

    def look(rows: np.ndarray) -> Outcome:
        wanted = labels[torch.from_numpy(rows)].to(device)
        logits = model(features.batch(rows).to(device))
        return Outcome(F.cross_entropy(logits, wanted), int((logits.argmax(1) == wanted).sum()))

    model.train()
    for epoch in progress_bar(range(recipe.epochs), desc="tail", unit="epoch"):
        order = _order(len(labels), recipe.batch_size, derive_seed("tail rows", seed, epoch))
        drawn = derive_seed("tail", seed, epoch)
        found = run_epoch(order, look, optimiser, steering, drawn, device)
        history.append({"epoch": epoch + 1} | found._asdict())
        if not np.isfinite(found.loss):
            raise NetworkError(
                f"tail: training diverged in epoch {epoch + 1} (loss {found.loss}). Fix: "
                f"lower the tail's learning rate (it was {found.learning_rate:.3g})."
            )
    return TailResult(model.eval(), pd.DataFrame(history))


def held(features: Features) -> HeldFeatures:
    """Compute all features once and keep them, as float32 on the CPU.

    Use it if they fit into memory: a tail reads them in every epoch, and computing partial sums of
    g(x) costs more than the tail's own pass.
    """
    return HeldFeatures(torch.cat([features.batch(rows).cpu() for rows in _blocks(features)]))


def predictions(tail: nn.Module, features: Features) -> Int[np.ndarray, " n"]:
    """Return the predicted class of each image, in eval mode, on the device of the tail."""
    tail.eval()
    device = _device(tail)
    with torch.inference_mode():
        chosen = [tail(features.batch(r).to(device)).argmax(1).cpu() for r in _blocks(features)]
    return torch.cat(chosen).numpy()


def correct(tail: nn.Module, features: Features, labels: Tensor) -> Bool[np.ndarray, " n"]:
    """Return which images are classified correctly, for paired bootstraps."""
    return np.asarray(predictions(tail, features) == labels.cpu().numpy())


def fresh_tail(tail: nn.Module, seed: int) -> nn.Module:
    """Copy a tail and draw new weights by each module's own rule, e.g. ``nn.Linear``'s.

    Torch's own generator is not changed. (:func:`kc.networks.build` uses these rules for AlexNet,
    but others for the convolutions of VGGs and ResNets.)

    Raises
    ------
    NetworkError
        A module has parameters but no rule to draw them.
    """
    fresh = copy.deepcopy(tail)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name, module in fresh.named_modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
            elif any(True for _ in module.parameters(recurse=False)):
                raise NetworkError(
                    f"tail: '{name or type(module).__name__}' has parameters but no "
                    "reset_parameters() to draw new ones. Fix: cut the network above it."
                )
    return fresh


def subset_head(model: nn.Module, classes: Sequence[int]) -> nn.Module:
    """Copy a network or tail, keeping the rows of some classes in its last linear layer.

    Logit i of the copy is logit ``classes[i]`` of the model; see :func:`subset_labels`.

    Raises
    ------
    NetworkError
        There is no linear layer, or a class is unknown or repeated.
    """
    smaller = copy.deepcopy(model)
    linears = [module for module in smaller.modules() if isinstance(module, nn.Linear)]
    if not linears:
        raise NetworkError(
            "subset of classes: the network has no linear layer. Fix: use one with nn.Linear"
        )
    last = linears[-1]
    rows = list(classes)
    if not rows or len(set(rows)) != len(rows) or not set(rows) <= set(range(last.out_features)):
        raise NetworkError(
            f"subset of classes: got {rows}, expected one or more different classes out of "
            f"0 to {last.out_features - 1}"
        )
    last.weight = nn.Parameter(last.weight.detach()[rows])
    if last.bias is not None:
        last.bias = nn.Parameter(last.bias.detach()[rows])
    last.out_features = len(rows)
    return smaller


def subset_labels(labels: Int[Tensor, " n"], classes: Sequence[int]) -> Int[Tensor, " n"]:
    """Map class labels to the logits of :func:`subset_head`: indices in ``classes``."""
    place = {name: i for i, name in enumerate(classes)}
    strange = sorted(set(labels.tolist()) - set(place))
    if strange:
        raise NetworkError(
            f"subset of classes: labels {strange} are not among the classes kept, {list(classes)}. "
            "Fix: select only rows of these classes."
        )
    return torch.tensor([place[name] for name in labels.tolist()], dtype=torch.int64)


def check_fit(tail: nn.Module, features: Features, labels: Tensor) -> None:
    """Check, before training, that a tail can be trained on these features and labels."""
    if len(features) != len(labels) or len(labels) < 2:
        raise NetworkError(
            f"tail: {len(features)} features and {len(labels)} labels, expected equally "
            "many, and at least two"
        )
    if not any(True for _ in tail.parameters()):
        raise NetworkError("tail: no parameters are above the tap. Fix: cut at an earlier layer.")
    sample = features.batch(np.arange(2)).to(_device(tail))
    was = tail.training
    try:
        with torch.no_grad():
            classes = tail.eval()(sample).shape[1]
    except RuntimeError as error:
        raise NetworkError(
            f"tail: it cannot take features of shape {tuple(sample.shape[1:])} ({error}). Fix: "
            "features must have the channels of the layer at the cut; set networks.*.width."
        ) from None
    finally:
        tail.train(was)
    if not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise NetworkError(
            f"tail: labels go from {int(labels.min())} to {int(labels.max())}, expected 0 to "
            f"{classes - 1} for its {classes} logits"
        )


def _steering(
    model: nn.Module, recipe: TailRecipe, batches: int
) -> tuple[torch.optim.Optimizer, LRScheduler]:
    if isinstance(recipe, Refine):
        adam = torch.optim.Adam(
            model.parameters(), lr=recipe.first_rate, weight_decay=recipe.weight_decay
        )
        ratio, last = recipe.last_rate / recipe.first_rate, max(1, recipe.epochs - 1)
        return adam, LambdaLR(adam, lambda step: ratio ** (step // batches / last))
    sgd = torch.optim.SGD(
        model.parameters(), lr=recipe.peak_rate, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY
    )
    # from peak/25 to peak and down to peak/10^4, as kc.networks.train does
    return sgd, OneCycleLR(
        sgd,
        max_lr=recipe.peak_rate,
        total_steps=recipe.epochs * batches,
        cycle_momentum=False,
        div_factor=25,
        final_div_factor=400,
    )


def _order(rows: int, batch_size: int, seed: int) -> list[np.ndarray]:
    order = np.random.default_rng(seed).permutation(rows)
    batches = np.split(order, range(batch_size, rows, batch_size))
    return [batch for batch in batches if len(batch) > 1]


def _blocks(features: Features) -> list[np.ndarray]:
    return np.split(np.arange(len(features)), range(BLOCK, len(features), BLOCK))


def _device(tail: nn.Module) -> torch.device:
    # a tail above the last layer has no parameters
    first = next(tail.parameters(), None)
    return torch.device("cpu") if first is None else first.device
