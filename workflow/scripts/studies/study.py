import sys

sys.path.insert(0, snakemake.params.root)

from kc.settings.load import load_settings
from kc.steps.job import job
from kc.steps.study import write_study

with job(snakemake.log, snakemake.threads):
    write_study(snakemake.params.study, load_settings(snakemake.params.settings))
