import sys

sys.path.insert(0, snakemake.params.root)

from kc.config import load_settings
from kc.job import job
from kc.report.stability import write_stability

with job(snakemake.log):
    write_stability(load_settings(snakemake.params.settings))
