import sys
from pathlib import Path

sys.path.insert(0, snakemake.params.root)

from kc.settings.dataset import Dataset
from kc.steps.images import Archive, make_images
from kc.steps.job import job

p = snakemake.params
with job(snakemake.log):
    make_images(
        Dataset.model_validate(p.settings),
        Path(snakemake.output[0]),
        Archive(Path(p.archive), p.source) if p.archive else None,
        {Path(path).stem: Path(path) for path in snakemake.input.parts},
    )
