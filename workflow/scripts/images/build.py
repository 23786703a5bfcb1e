import sys
from pathlib import Path

sys.path.insert(0, snakemake.params.root)

from kc.config import Dataset
from kc.images import build_image_store
from kc.job import job
from kc.provenance import product_key
from kc.store.files import file_digest

p = snakemake.params
dataset = Dataset.model_validate(p.settings)
archive = Path(p.archive) if p.archive else None
inputs = {"archive": file_digest(archive)} if archive and archive.is_file() else {}
out = Path(p.results) / "images" / f"{snakemake.wildcards.dataset}.zarr"
with job(snakemake.log):
    key = product_key({"dataset": dataset, "archive": p.archive}, inputs, "kc.images.build")
    mend = f"snakemake --cores 1 --force {snakemake.output[0]}"
    build_image_store(dataset, archive, out, key, mend)
