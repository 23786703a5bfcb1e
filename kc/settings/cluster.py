"""Cores, memory and time of jobs, and how many jobs share a recording."""

from typing import Annotated

from pydantic import Field

from kc.settings.sections import Count, Section


class Request(Section):
    """Resources that one job requests."""

    mem_mb: Annotated[int, Field(ge=1, le=100_000_000)] = Field(
        description="memory of all its processes, MB; the second attempt requests twice as much"
    )
    minutes: Count = Field(
        description="wall time; a job that exceeds it continues from there at its next attempt"
    )
    threads: Annotated[int, Field(ge=1, le=256)] = Field(
        1,
        description="cores of one job, also without a cluster; another number rounds sums "
        "differently, so that weights and fits differ as with another seed",
    )


class Cluster(Section):
    """Requests by stage, and scattered recording. Memory and time concern clusters only.

    Measured: the preset smoke's jobs peak at 201 to 1,035 MB (the last line of each rule's log),
    building the default's images at 646 MB, and the two Snakemakes that SLURM runs around a
    script take 340 MB more. The rest is a margin, not measured: a fit may hold
    ``consistency.memory_gb`` of features. The times are margins as well.
    """

    scatter: Annotated[int, Field(ge=1, le=1000)] = Field(
        1,
        description="jobs that share a recording, each some of its shards; one more collects them",
    )
    images: Request = Request(mem_mb=2000, minutes=30)
    networks: Request = Request(mem_mb=4000, minutes=120)
    activations: Request = Request(mem_mb=4000, minutes=60)
    consistency: Request = Request(mem_mb=8000, minutes=120)
    concepts: Request = Request(mem_mb=4000, minutes=120)
    studies: Request = Request(mem_mb=4000, minutes=60)
