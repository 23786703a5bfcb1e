"""Visual concepts: counts of the image parts that a layer keeps, to explain distillation [C20]."""

from kc.concepts.distance import LearningSpeed, WeightDistance, learning_speed
from kc.concepts.entropy import EntropyResult, pixel_entropy
from kc.concepts.foreground import foreground_cells
from kc.concepts.intervals import Interval, over_images
from kc.concepts.metrics import (
    Counts,
    Selection,
    Summary,
    count_concepts,
    effective,
    kept_share,
    richest_checkpoint,
    summarise,
)
from kc.concepts.noise import image_seed
from kc.concepts.settings import EntropySettings, preset

__all__ = [
    "Counts",
    "EntropyResult",
    "EntropySettings",
    "Interval",
    "LearningSpeed",
    "Selection",
    "Summary",
    "WeightDistance",
    "count_concepts",
    "effective",
    "foreground_cells",
    "image_seed",
    "kept_share",
    "learning_speed",
    "over_images",
    "pixel_entropy",
    "preset",
    "richest_checkpoint",
    "summarise",
]
