import sys
from pathlib import Path

sys.path.insert(0, snakemake.params.root)

from kc.concepts.maps import map_networks
from kc.plans.concept_products import ConceptNetwork
from kc.runtime import pick_device
from kc.settings.concepts import Concepts
from kc.steps.job import job
from kc.store import open_store

p = snakemake.params
folder = Path(p.results) / "concepts"
with job(snakemake.log):
    map_networks(
        [ConceptNetwork(**plan) for plan in p.plans],
        open_store(Path(snakemake.input.images)),
        Concepts.model_validate(p.settings),
        folder / "networks",
        folder / "maps",
        pick_device(p.device),
    )
