import sys
from pathlib import Path

sys.path.insert(0, snakemake.params.root)

from kc.settings.feature_maps import Activations
from kc.steps.activations import Recording, record_features
from kc.steps.job import job
from kc.store.part import JobPart

p = snakemake.params
with job(snakemake.log, snakemake.threads):
    record_features(
        Recording(p.networks, p.nodes, JobPart(*p.part), p.storage_root),
        Path(snakemake.input.images),
        Activations.model_validate(p.settings),
        Path(p.results),
        p.device,
        Path(snakemake.output[0]),
    )
