import sys
from pathlib import Path

sys.path.insert(0, snakemake.params.root)

from kc.settings.dataset import Dataset
from kc.steps.images import Archive, make_images
from kc.steps.job import job
from kc.steps.mixture import mix_images

p = snakemake.params
dataset, manifest = Dataset.model_validate(p.settings), Path(snakemake.output[0])
with job(snakemake.log, snakemake.threads):
    if dataset.parts:
        mix_images(dataset, manifest, {Path(path).stem: Path(path) for path in snakemake.input})
    else:
        make_images(dataset, manifest, Archive(Path(p.archive), p.source) if p.archive else None)
