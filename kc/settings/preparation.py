"""How a picture becomes what a network takes: resized, cropped, normalised."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from kc.names import IMAGENET_MEAN, IMAGENET_STD
from kc.settings.sections import Colours, Positive, Section, Side

Stds = tuple[Positive, Positive, Positive]
Aspect = Literal["squash", "keep"]
Interpolation = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
"""Filters of Pillow, all with antialiasing."""
USUAL_SIZE = 64
"""Size for a network that does not say what it takes."""


class Prepare(Section):
    """What is asked for; none: as the network's weights say, else the usual."""

    size: Side | None = Field(
        None,
        description="side of a network's pictures, px (else as its weights say, or 64)",
    )
    resize: Annotated[int, Field(ge=16, le=4096)] | None = Field(
        None,
        description="pictures are resized to this side, px, then cropped at the centre to size "
        "(else as the weights say, or size)",
    )
    aspect: Aspect | None = Field(
        None,
        description="resize the shorter side (keep), or both sides (squash; the default of "
        "networks that do not say)",
    )
    interpolation: Interpolation | None = Field(
        None, description="filter of the resizing (else as the weights say, or bilinear)"
    )
    mean: Colours | None = Field(
        None,
        description="subtracted from each colour, 0 to 1 (else as the weights say, or ImageNet's)",
    )
    std: Stds | None = Field(
        None,
        description="each colour is divided by it after the mean is subtracted (else as the "
        "weights say, or ImageNet's)",
    )


class Preparation(Section):
    """What is done to each picture of one network."""

    size: Side = USUAL_SIZE
    resize: Annotated[int, Field(ge=16, le=4096)]
    """Side before the crop at the centre; of both sides, or of the shorter one (aspect keep)."""
    aspect: Aspect = "squash"
    interpolation: Interpolation = "bilinear"
    mean: Colours = IMAGENET_MEAN
    std: Stds = IMAGENET_STD

    @classmethod
    def of(cls, own: "Preparation | None", *asked: Prepare) -> "Preparation":
        """Complete what is asked for, later ones first, with what the network's weights say.

        Another size alone keeps the field of view.
        """
        base = own or cls(resize=USUAL_SIZE)
        given = {
            name: value
            for one in asked
            for name in Prepare.model_fields
            if (value := getattr(one, name)) is not None
        }
        if "size" in given and "resize" not in given:
            given["resize"] = max(given["size"], round(base.resize * given["size"] / base.size))
        return cls.model_validate(base.model_dump() | given)

    @property
    def is_whole(self) -> bool:
        """Whether the network sees the whole of every picture."""
        return self.aspect == "squash" and self.resize == self.size

    @property
    def geometry(self) -> dict[str, object]:
        """Return what decides the stored pixels; mean and std are applied when they are read."""
        return self.model_dump(mode="json", include={"size", "resize", "aspect", "interpolation"})

    def told(self) -> str:
        """Describe it in words."""
        side = "shorter side" if self.aspect == "keep" else "both sides"
        resized = f"{side} resized to {self.resize} px ({self.interpolation})"
        cut = "" if self.is_whole else f", cut at the centre to {self.size} px"
        mean, std = (", ".join(f"{value:g}" for value in each) for each in (self.mean, self.std))
        return f"{resized}{cut}, minus ({mean}), over ({std})"

    @model_validator(mode="after")
    def _nothing_is_made_up(self) -> "Preparation":
        if self.resize < self.size:
            raise ValueError(
                f"resize {self.resize} is less than size {self.size}: the crop would have an empty "
                "border. Fix: a resize of at least size"
            )
        return self
