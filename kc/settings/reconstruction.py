"""Settings of the reconstruction network g and of its fit."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from kc.settings.sections import Count, Positive, Section


def _digit(given: object) -> object:
    """Convert a digit that Snakemake's --config passes as text."""
    return int(str(given)) if given in ("1", "3", "5") else given


def _number(given: object) -> object:
    """Convert a number that was passed as text."""
    return int(given) if isinstance(given, str) and given.isdecimal() else given


class Optimiser(Section):
    """Fit of g under the preset ``paper`` (``released`` has a fixed one)."""

    epochs: Count = Field(
        2000, description="largest number; a fit ends when validation MSE no longer improves"
    )
    improvement: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.01, description="share of validation MSE; a round that improves it by less ends the fit"
    )
    batch_size: Count = 64
    learning_rate: Positive = Field(1e-2, description="of W, for an output with 576 inputs")
    gain_learning_rate: Positive = Field(5e-2, description="of q, from which p is computed")
    weight_decay: Annotated[float, Field(ge=0)] = Field(4.0, description="decoupled; not on q")
    closed_form_start: bool = Field(True, description="W(0) starts from the best linear map")


class Consistency(Section):
    """The reconstruction network g and its decomposition."""

    preset: Literal["paper", "released"] = "paper"
    order: Annotated[int, Field(ge=0, le=5)] = Field(2, description="K, non-linear layers of g")
    kernel_size: Annotated[Literal[1, 3, 5], BeforeValidator(_digit)] = 3
    rank: Annotated[
        Annotated[int, Field(ge=1)] | Literal["auto", "full"], BeforeValidator(_number)
    ] = Field(
        "full",
        description="r of each W(k), factorised C x r x C; auto: full up to 512 channels, for "
        "wider maps as much as the number of images supports",
    )
    gain: Literal["sigmoid", "free"] = Field(
        "free", description="free: p = q, as in the paper; sigmoid: p = sigmoid(q)"
    )
    centring: Literal["layer", "channel"] = Field(
        "layer",
        description="mean subtracted from features, and from each part before its variance: one "
        "for the layer, as in the paper, or one for each channel, so that constants do not count",
    )
    penalty: Annotated[float, Field(ge=0)] | Literal["raw_equivalent"] = Field(
        0.001,
        description="lambda on sum p^2; raw_equivalent: the paper's raw lambda / Var(x*)",
    )
    optimiser: Optimiser = Optimiser()
    components: Literal["none", "test", "all"] = Field(
        "test", description="images whose components are stored; variances do not need them"
    )
    buffer_shards: Count = Field(8, description="shards shuffled together when streaming")
    memory_gb: Positive = Field(
        4.0, description="larger features are read from disk during the fit, GB"
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="of matrix products during a fit; parts are always computed in float32",
    )

    @model_validator(mode="before")
    @classmethod
    def _released_has_its_own(cls, given: object) -> object:
        """Use the released code's p and lambda if none are given."""
        if isinstance(given, Mapping) and given.get("preset") == "released":
            return {"gain": "sigmoid", "penalty": 0.1, **given}
        return given

    @model_validator(mode="after")
    def _released_is_fixed(self) -> "Consistency":
        if self.preset == "released" and self.penalty == "raw_equivalent":
            raise ValueError(
                "penalty 'raw_equivalent' is for preset 'paper': 'released' uses raw features"
            )
        if self.preset == "released" and self.rank != "full":
            raise ValueError(
                f"rank {self.rank} is for preset 'paper': 'released' does not factorise"
            )
        if self.preset == "released" and self.gain == "free":
            raise ValueError("gain 'free' is for preset 'paper': 'released' has p = sigmoid(q)")
        return self
