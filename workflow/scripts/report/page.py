import sys

sys.path.insert(0, snakemake.params.root)

from kc.config import load_settings
from kc.job import job

with job(snakemake.log):
    from kc.report.overview import write

    write(load_settings(snakemake.params.settings), snakemake.params.captions)
