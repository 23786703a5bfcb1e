import importlib
import sys

sys.path.insert(0, snakemake.params.root)

from kc.config import load_settings
from kc.job import job

with job(snakemake.log):
    importlib.import_module(f"kc.report.{snakemake.params.study}").write(
        load_settings(snakemake.params.settings)
    )
