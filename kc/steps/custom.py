"""Compare a pair of the user's own networks that the settings name."""

from pathlib import Path

from kc.comparison import CompareSettings
from kc.comparison.make import make
from kc.settings.custom import Custom
from kc.settings.feature_maps import Activations
from kc.settings.reconstruction import Consistency


def compare_custom(
    pair: Custom,
    activations: Activations,
    consistency: Consistency,
    results: Path,
    device: str = "auto",
) -> Path:
    """Compare a pair into ``RESULTS/custom/<name>``; return its page.

    Raises
    ------
    KCError
        As :func:`kc.comparison.make.make`.
    """
    # the same settings serve the papers' tables, which use another centring
    consistency = consistency.model_copy(update={"centring": pair.centring})
    settings = CompareSettings.of(pair, activations=activations, consistency=consistency)
    return make(pair, settings, results / "custom" / pair.name, device).page
