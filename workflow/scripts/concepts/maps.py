import sys
from pathlib import Path

sys.path.insert(0, snakemake.params.root)

from kc.plans.concept_products import ConceptNetwork
from kc.settings.concepts import Concepts
from kc.steps.concept_maps import map_concepts
from kc.steps.job import job

p = snakemake.params
with job(snakemake.log, snakemake.threads):
    map_concepts(
        [ConceptNetwork(**plan) for plan in p.plans],
        Path(snakemake.input.images),
        Concepts.model_validate(p.settings),
        Path(p.results),
        p.device,
    )
