"""Train the networks of the concepts study."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from kc.concepts.networks import Given, train_concept_networks
from kc.plans.concept_products import ConceptNetwork
from kc.runtime import pick_device
from kc.settings.concepts import Lessons
from kc.settings.recipes import Network
from kc.store import open_store


class Teaching(NamedTuple):
    """The settings for networks of one architecture and data set."""

    shape: Network
    lessons: Lessons
    layers: tuple[str, ...]
    """Layers of teacher and baseline whose weight distance is kept."""


def train_concepts(
    plans: Sequence[ConceptNetwork],
    images: Path,
    teaching: Teaching,
    results: Path,
    device: str = "auto",
) -> None:
    """Train networks of one architecture and data set into ``RESULTS/concepts/networks``.

    Parameters
    ----------
    images
        Manifest of the image store.

    Raises
    ------
    NetworkError
        Training diverged, or a teacher is missing or damaged.
    ImageError
        Images have no foreground.
    """
    given = Given(open_store(images), *teaching)
    folder = results / "concepts" / "networks"
    train_concept_networks(plans, given, folder, pick_device(device))
