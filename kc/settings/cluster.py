"""What a job asks of a cluster, and how many jobs share one recording; no result depends on it."""

from typing import Annotated

from pydantic import Field

from kc.settings.sections import Count, Section


class Request(Section):
    """What one job asks for."""

    mem_mb: Annotated[int, Field(ge=1, le=100_000_000)] = Field(
        description="memory of all its processes, MB; its second try asks for twice as much"
    )
    minutes: Count = Field(
        description="wall time; a job that ran out of it goes on where it was at its next try"
    )


class Cluster(Section):
    """Requests by stage, and scattered recording. Only profiles for a cluster use the requests.

    Measured: the preset smoke's jobs peak at 201 to 1,035 MB (the last line of each rule's log),
    building the default's images at 646 MB, and the two Snakemakes that SLURM runs around a
    script take 340 MB more. The rest is room, not measured: a fit may hold
    ``consistency.memory_gb`` of features. The times are room as well.
    """

    scatter: Annotated[int, Field(ge=1, le=1000)] = Field(
        1, description="jobs that share a recording, each whole shards of it; then one gathers"
    )
    images: Request = Request(mem_mb=2000, minutes=30)
    networks: Request = Request(mem_mb=4000, minutes=120)
    activations: Request = Request(mem_mb=4000, minutes=60)
    consistency: Request = Request(mem_mb=8000, minutes=120)
    concepts: Request = Request(mem_mb=4000, minutes=120)
    studies: Request = Request(mem_mb=4000, minutes=60)
