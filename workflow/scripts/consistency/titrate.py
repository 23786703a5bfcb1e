import sys
from pathlib import Path

sys.path.insert(0, snakemake.params.root)

from kc.settings.reconstruction import Consistency
from kc.steps.job import job
from kc.steps.titrations import Titration, titrate

p = snakemake.params
with job(snakemake.log, snakemake.threads):
    titrate(
        Titration(p.name, p.network, p.node, tuple(p.added), tuple(p.deleted)),
        Consistency.model_validate(p.settings),
        Path(p.results),
        p.device,
    )
