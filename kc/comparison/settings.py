"""Settings of a comparison of two networks."""

from pydantic import field_validator, model_validator

from kc.settings.custom import CENTRING, Look
from kc.settings.feature_maps import Activations
from kc.settings.reconstruction import Consistency


class CompareSettings(Look):
    """Settings of :func:`kc.comparison.compare`."""

    activations: Activations = Activations()
    consistency: Consistency = Consistency(centring=CENTRING, rank="auto")
    """Centring ``channel`` and rank ``auto``, unless given."""

    @classmethod
    def of(cls, look: Look, **sections: Activations | Consistency) -> "CompareSettings":
        """Complete the settings of a pair."""
        return cls.model_validate({k: getattr(look, k) for k in Look.model_fields} | sections)

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
