import sys
from pathlib import Path

sys.path.insert(0, snakemake.params.root)

from kc.files.sources import FOLDER, Source
from kc.images import build_image_store, build_mixture_store, open_images
from kc.plans.commands import remake
from kc.plans.layouts import code_of_dataset
from kc.provenance import product_key
from kc.settings.whole import Dataset
from kc.steps.job import job

p = snakemake.params
dataset = Dataset.model_validate(p.settings)
archive = Path(p.archive) if p.archive else None
out = Path(snakemake.output[0]).with_suffix(".zarr")
mend = remake(snakemake.output[0])
with job(snakemake.log):
    code = code_of_dataset(dataset)
    if dataset.parts:
        parts = {Path(path).stem: open_images(Path(path)) for path in snakemake.input.parts}
        inputs = {name: part.digest for name, part in parts.items()}
        key = product_key({"dataset": dataset}, inputs, *code)
        build_mixture_store(parts, dataset.seed, out, key, mend)
    else:
        records = out.parent.parent / FOLDER
        source = None if archive is None else Source((archive,), p.source, records)
        inputs = {} if source is None else {"archive": source.digest}
        key = product_key({"dataset": dataset, "archive": p.archive}, inputs, *code)
        build_image_store(dataset, archive, out, key, mend, source)
