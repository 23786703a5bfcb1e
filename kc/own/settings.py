"""What a comparison of two networks depends on, beside the networks and the pictures."""

from typing import Annotated

from pydantic import Field, model_validator

from kc.config import Activations, Consistency
from kc.images.pixels import IMAGENET_MEAN, IMAGENET_STD
from kc.own.forms import Align, Tokens
from kc.sections import Positive, Section, Share


class CompareSettings(Section):
    """Settings of :func:`kc.own.compare`."""

    size: Annotated[int, Field(ge=16)] = Field(64, description="side pictures are resized to, px")
    mean: tuple[float, float, float] = Field(
        IMAGENET_MEAN, description="taken from each colour (0 to 1) before the networks see it"
    )
    std: tuple[Positive, Positive, Positive] = Field(
        IMAGENET_STD, description="each colour is divided by it, after the mean"
    )
    test_share: Share = Field(
        0.4, description="share of the pictures tested on, where there are no train/ and test/"
    )
    seed: int = Field(0, description="of the split, the order of the rows, and the fits")
    tokens: Tokens = Field(
        "all", description="of a transformer: all tokens, those of patches, or the class token"
    )
    align: Align = Field(
        "auto",
        description="layers of different kinds: means over positions and tokens (pool), or tokens "
        "on their grid (grid); auto: grid where both have one",
    )
    activations: Activations = Activations()
    consistency: Consistency = Consistency()

    @model_validator(mode="after")
    def _penalty_is_a_number(self) -> "CompareSettings":
        if isinstance(self.consistency.penalty, str):
            raise ValueError(
                f"consistency.penalty '{self.consistency.penalty}' is for the papers' networks; "
                "expected a number"
            )
        return self
