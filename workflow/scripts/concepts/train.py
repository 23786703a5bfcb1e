import sys
from pathlib import Path

sys.path.insert(0, snakemake.params.root)

from kc.concepts.networks import Given, train_concept_networks
from kc.plans.concept_products import ConceptNetwork
from kc.runtime import pick_device
from kc.settings.concepts import Lessons
from kc.settings.recipes import Network
from kc.steps.job import job
from kc.store import open_store

p = snakemake.params
with job(snakemake.log):
    train_concept_networks(
        [ConceptNetwork(**plan) for plan in p.plans],
        Given(
            open_store(Path(snakemake.input.images)),
            Network.model_validate(p.shape),
            Lessons.model_validate(p.lessons),
            tuple(p.layers),
        ),
        Path(p.results) / "concepts" / "networks",
        pick_device(p.device),
    )
