"""Search the entropy maps of the concepts study."""

from collections.abc import Sequence
from pathlib import Path

from kc.concepts.maps import map_networks
from kc.plans.concept_products import ConceptNetwork
from kc.runtime import pick_device
from kc.settings.concepts import Concepts
from kc.store import open_store


def map_concepts(
    plans: Sequence[ConceptNetwork],
    images: Path,
    settings: Concepts,
    results: Path,
    device: str = "auto",
) -> None:
    """Search the entropy maps of trained networks into ``RESULTS/concepts/maps``.

    Raises
    ------
    NetworkError
        A network is missing or damaged.
    ImageError
        Images have no foreground.
    """
    folder = results / "concepts"
    chosen = pick_device(device)
    map_networks(plans, open_store(images), settings, folder / "networks", folder / "maps", chosen)
