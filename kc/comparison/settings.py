"""What a comparison of two networks depends on, beside the networks and the pictures."""

from pydantic import Field, field_validator, model_validator

from kc.images.pixels import IMAGENET_MEAN, IMAGENET_STD
from kc.settings.custom import Look
from kc.settings.feature_maps import Activations
from kc.settings.reconstruction import Consistency
from kc.settings.sections import Colours, Positive


class CompareSettings(Look):
    """Settings of :func:`kc.comparison.compare`."""

    mean: Colours = Field(IMAGENET_MEAN, description="taken from each colour (0 to 1)")
    std: tuple[Positive, Positive, Positive] = Field(
        IMAGENET_STD, description="each colour is divided by it, after the mean"
    )
    activations: Activations = Activations()
    consistency: Consistency = Consistency(rank="auto")

    @classmethod
    def of(cls, look: Look, **sections: Activations | Consistency) -> "CompareSettings":
        """Complete what a pair says; colours it does not name are ImageNet's."""
        given = {name: getattr(look, name) for name in Look.model_fields}
        return cls.model_validate({k: v for k, v in given.items() if v is not None} | sections)

    @field_validator("consistency")
    @classmethod
    def _rank_follows_the_images(cls, given: Consistency) -> Consistency:
        if "rank" in given.model_fields_set or given.preset == "released":
            return given
        return given.model_copy(update={"rank": "auto"})

    @model_validator(mode="after")
    def _penalty_is_a_number(self) -> "CompareSettings":
        if isinstance(self.consistency.penalty, str):
            raise ValueError(
                f"consistency.penalty '{self.consistency.penalty}' is for the papers' networks; "
                "expected a number"
            )
        return self
