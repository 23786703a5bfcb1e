import sys
from pathlib import Path

sys.path.insert(0, snakemake.params.root)

from kc.plans.concept_products import ConceptNetwork
from kc.settings.concepts import Lessons
from kc.settings.recipes import Network
from kc.steps.concept_networks import Teaching, train_concepts
from kc.steps.job import job

p = snakemake.params
with job(snakemake.log, snakemake.threads):
    train_concepts(
        [ConceptNetwork(**plan) for plan in p.plans],
        Path(snakemake.input.images),
        Teaching(
            Network.model_validate(p.shape), Lessons.model_validate(p.lessons), tuple(p.layers)
        ),
        Path(p.results),
        p.device,
    )
