"""Settings of a comparison of two networks."""

from pydantic import Field, field_validator, model_validator

from kc.images.pixels import IMAGENET_MEAN, IMAGENET_STD
from kc.settings.custom import CENTRING, Look
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
    consistency: Consistency = Consistency(centring=CENTRING, rank="auto")
    """Centring ``channel`` and rank ``auto``, unless given."""

    @classmethod
    def of(cls, look: Look, **sections: Activations | Consistency) -> "CompareSettings":
        """Complete the settings of a pair; the default colours are ImageNet's."""
        given = {name: getattr(look, name) for name in Look.model_fields}
        return cls.model_validate({k: v for k, v in given.items() if v is not None} | sections)

    @field_validator("consistency")
    @classmethod
    def _not_the_papers(cls, given: Consistency) -> Consistency:
        """Subtract channel means and choose the rank by the images, unless given otherwise."""
        wanted: dict[str, str] = {"centring": CENTRING}
        if given.preset == "paper":
            wanted["rank"] = "auto"
        return given.model_copy(
            update={k: v for k, v in wanted.items() if k not in given.model_fields_set}
        )

    @model_validator(mode="after")
    def _ladders_are_of_the_preset_paper(self) -> "CompareSettings":
        if self.ladder and self.consistency.preset == "released":
            raise ValueError("ladder is of the preset 'paper': 'released' finishes no fit")
        return self

    @model_validator(mode="after")
    def _penalty_is_a_number(self) -> "CompareSettings":
        if isinstance(self.consistency.penalty, str):
            raise ValueError(
                f"consistency.penalty '{self.consistency.penalty}' is for the papers' networks; "
                "expected a number"
            )
        return self
