import sys
from pathlib import Path

sys.path.insert(0, snakemake.params.root)

from kc.datasets.download import Wanted, fetch_all
from kc.steps.job import job

with job(snakemake.log):
    fetch_all([Wanted(url, Path(path), known) for url, path, known in snakemake.params.files])
