import sys
from pathlib import Path

sys.path.insert(0, snakemake.params.root)

from kc.plans.products import FitPlan
from kc.settings.reconstruction import Consistency
from kc.steps.job import job
from kc.steps.ladders import climb_fits

p = snakemake.params
with job(snakemake.log, snakemake.threads):
    climb_fits(
        [FitPlan.of(fit) for fit in p.fits],
        p.repeats,
        Consistency.model_validate(p.settings),
        Path(p.results),
        p.device,
    )
