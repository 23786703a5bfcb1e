import sys

sys.path.insert(0, snakemake.params.root)

from kc.settings.load import load_settings
from kc.steps.job import job

with job(snakemake.log, snakemake.threads):
    from kc.steps.page import write_overview

    write_overview(load_settings(snakemake.params.settings))
