"""What every group of settings is: frozen, and strict about its keys."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from kc.names import Architecture

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, lt=1)]
LayersOf = dict[Architecture, Annotated[tuple[str, ...], Field(min_length=1)]]
"""Layers by architecture: names of kc.names, or graph nodes."""


class Section(BaseModel):
    """A frozen group of settings that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
