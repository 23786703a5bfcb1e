"""Visual concepts: which parts of an image a layer keeps, counted to explain distillation [C20]."""

from kc.concepts.distance import WeightDistance
from kc.concepts.entropy import EntropyResult, pixel_entropy
from kc.concepts.metrics import Counts, count_concepts, kept_share, richest_checkpoint
from kc.concepts.settings import EntropySettings, preset

__all__ = [
    "Counts",
    "EntropyResult",
    "EntropySettings",
    "WeightDistance",
    "count_concepts",
    "kept_share",
    "pixel_entropy",
    "preset",
    "richest_checkpoint",
]
