import sys

sys.path.insert(0, snakemake.params.root)

from kc.steps.download import download
from kc.steps.job import job

with job(snakemake.log, snakemake.threads):
    download(snakemake.params.files)
