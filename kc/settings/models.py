"""Settings of a comparison of many models of the user."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from kc.settings.custom import FEATURES, LAYER, REMOTE, SIDE, Look, Nodes
from kc.settings.sections import Words

MOST = 50
"""Most models of a comparison."""


class Models(Look):
    """Models to compare with each other, each a network or a file of features."""

    models: Annotated[tuple[Words, ...], Field(min_length=2, max_length=MOST)] = Field(
        description=f"instead of --a and --b: models separated by commas, each {SIDE}"
    )
    layer: Words | Nodes | None = Field(
        None,
        description=f"with --models: {LAYER.partition(';')[0]}, of all, or one each",
    )
    images: Path | None = None
    untrained: bool = False
    remote_code: bool = Field(False, description=REMOTE)
    references: bool = Field(
        True,
        description="with --models: also compare with an untrained twin of each network and with "
        "the pixels",
    )

    def layer_of(self, place: int) -> str | None:
        """Return the layer, or ``all``, of the model at a place."""
        return self.layer[place] if isinstance(self.layer, tuple) else self.layer

    def files(self) -> list[Path]:
        """List the files that the result depends on."""
        found = [Path(one.rpartition(":")[0]) for one in self.models if ".py:" in one]
        found += [Path(named["path"]) for named in map(FEATURES.fullmatch, self.models) if named]
        return [*found, *([] if self.images is None else [self.images])]

    @model_validator(mode="after")
    def _models_differ(self) -> "Models":
        twice = next((one for one in self.models if self.models.count(one) > 1), None)
        if twice is not None:
            raise ValueError(f"models: '{twice}' is named twice; expected each once")
        return self

    @model_validator(mode="after")
    def _layers_are_those_of_the_models(self) -> "Models":
        if isinstance(self.layer, tuple) and len(self.layer) != len(self.models):
            raise ValueError(
                f"layer: {len(self.layer)} layers for {len(self.models)} models; expected one for "
                "all, or one for each in their order"
            )
        return self
