import importlib
import sys

sys.path.insert(0, snakemake.params.root)

from kc.settings.whole import load_settings
from kc.steps.job import job

with job(snakemake.log):
    importlib.import_module(f"kc.studies.{snakemake.params.study}").write(
        load_settings(snakemake.params.settings)
    )
