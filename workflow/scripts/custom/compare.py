import sys
from pathlib import Path

sys.path.insert(0, snakemake.params.root)

from kc.settings.feature_maps import Activations
from kc.settings.reconstruction import Consistency
from kc.steps.job import job

p = snakemake.params
with job(snakemake.log):
    from kc.comparison import CompareSettings
    from kc.comparison.make import make
    from kc.settings.custom import Custom

    pair = Custom.model_validate(p.pair)
    settings = CompareSettings.of(
        pair,
        activations=Activations.model_validate(p.activations),
        consistency=Consistency.model_validate(p.consistency),
    )
    make(pair, settings, Path(p.results) / "custom" / pair.name, p.device)
