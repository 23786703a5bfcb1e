"""Settings of stored feature maps, and of pictures of them."""

from typing import Annotated, Literal

from pydantic import Field

from kc.settings.sections import Count, Section


class Activations(Section):
    """How features are stored."""

    dtype: Literal["float16", "float32", "bfloat16"] = Field(
        "float16", description="number type of stored features"
    )
    compressor: Literal["none", "lz4", "zstd"] = "none"
    shard_rows: Count = Field(
        256, description="images in one shard; an interruption loses at most one shard"
    )
    batch_size: Count = 128


class Pictures(Section):
    """Contents of the pictures of feature maps."""

    filters: Annotated[int, Field(ge=1, le=100)] = Field(2, description="filters shown of a layer")
    images: Annotated[int, Field(ge=1, le=100)] = Field(2, description="images shown of a filter")
