import sys
from pathlib import Path

sys.path.insert(0, snakemake.params.root)

from kc.plans.products import FitPlan
from kc.settings.reconstruction import Consistency
from kc.steps.fits import fit_layers
from kc.steps.job import job

p = snakemake.params
with job(snakemake.log, snakemake.threads):
    fit_layers(
        [FitPlan.of(fit) for fit in p.fits],
        Consistency.model_validate(p.settings),
        Path(p.results),
        p.device,
        p.storage_root,
    )
