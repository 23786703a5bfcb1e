import sys
from pathlib import Path

sys.path.insert(0, snakemake.params.root)

from kc.steps.job import job
from kc.steps.storage import drop_store

p = snakemake.params
with job(snakemake.log, snakemake.threads):
    drop_store(Path(p.store), p.readers)
