import sys
from pathlib import Path

sys.path.insert(0, snakemake.params.root)

from kc.settings.custom import Custom
from kc.settings.feature_maps import Activations
from kc.settings.reconstruction import Consistency
from kc.steps.job import job

p = snakemake.params
with job(snakemake.log, snakemake.threads):
    from kc.steps.custom import compare_custom

    compare_custom(
        Custom.model_validate(p.pair),
        Activations.model_validate(p.activations),
        Consistency.model_validate(p.consistency),
        Path(p.results),
        p.device,
    )
