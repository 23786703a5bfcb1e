import sys
from pathlib import Path

sys.path.insert(0, snakemake.params.root)

from kc.commands import remake
from kc.config import Dataset
from kc.images import build_image_store, build_mixture_store, open_images, source_digest
from kc.job import job
from kc.provenance import product_key

p = snakemake.params
dataset = Dataset.model_validate(p.settings)
archive = Path(p.archive) if p.archive else None
out = Path(snakemake.output[0]).with_suffix(".zarr")
mend = remake(snakemake.output[0])
with job(snakemake.log):
    if dataset.parts:
        parts = {Path(path).stem: open_images(Path(path)) for path in snakemake.input.parts}
        inputs = {name: part.digest for name, part in parts.items()}
        key = product_key({"dataset": dataset}, inputs, "kc.images.mixture")
        build_mixture_store(parts, dataset.seed, out, key, mend)
    else:
        digest = "" if archive is None else source_digest(archive)
        inputs = {"archive": digest} if digest else {}
        key = product_key({"dataset": dataset, "archive": p.archive}, inputs, "kc.images.build")
        build_image_store(dataset, archive, out, key, mend, digest)
