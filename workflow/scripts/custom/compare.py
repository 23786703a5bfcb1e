import sys
from pathlib import Path

sys.path.insert(0, snakemake.params.root)

from kc.config import Activations, Consistency
from kc.job import job

p = snakemake.params
with job(snakemake.log):
    from kc.own import CompareSettings
    from kc.own_config import Custom
    from kc.report.custom import make

    pair = Custom.model_validate(p.pair)
    settings = CompareSettings.of(
        pair,
        activations=Activations.model_validate(p.activations),
        consistency=Consistency.model_validate(p.consistency),
    )
    make(pair, settings, Path(p.results) / "custom" / pair.name, p.device)
