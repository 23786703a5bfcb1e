"""Footnotes of the tables of many models."""

from collections.abc import Sequence

from kc.comparison import notes
from kc.comparison.matrix_notes import CALIBRATED, of_open
from kc.comparison.model_fits import ModelFits
from kc.comparison.references import SIDE
from kc.comparison.settings import CompareSettings
from kc.comparison.sides import ComparedRows, ComparedSide
from kc.similarity.gram_measures import NEAREST

MEASURED = (
    "cka: linear CKA, debiased, test images as rows, flattened features; the same in both "
    f"directions. neighbours_flattened: share of the {NEAREST} nearest test images (Euclidean "
    "distance) that are the same. linear_flattened: share of Var(target) that the best linear map "
    "of the flattened source misses (1 - R^2, test images; ridge, chosen on the validation cut)."
)


def notes_of_models(
    sides: Sequence[ComparedSide],
    twins: Sequence[ComparedSide],
    rows: ComparedRows,
    fitted: ModelFits,
    settings: CompareSettings,
) -> tuple[str, ...]:
    """Return the notes on measures, references, fits and models; warnings first."""
    told = []
    if fitted.open:
        told.append(of_open(fitted.open, len(fitted.digests)))
    if fitted.refused:
        name, error = next(iter(fitted.refused.items()))
        told.append(f"{len(fitted.refused)} fits could not be made, the first {name}: {error}")
    geometries = {side.preparation.geometry["size"] for side in sides if side.preparation}
    if len(geometries) > 1:
        told.append(
            "The models see their pictures at different sizes, perhaps different parts of them; "
            "features are compared as each model gives them."
        )
    told += [MEASURED, CALIBRATED]
    if settings.fits != "none":
        told.append(
            "xdelta: share of Var(target) that g does not reconstruct from the source (fraction "
            "of variance unexplained, 1 - R^2), test images; xdelta_train: on training images."
        )
        told.append(notes.of_fit(settings))
    if twins:
        told.append(
            "untrained: a network of the same shape with random weights (seed "
            f"{settings.seed}); pixels: the pictures, at most {SIDE} px. What they give of a "
            "model is not knowledge of another model."
        )
    return (*told, notes.of_rows(sides, rows), *(side.note_of_all() for side in sides))
