import sys
from pathlib import Path

sys.path.insert(0, snakemake.params.root)

from kc.concepts.maps import map_networks
from kc.concepts_config import ConceptNetwork, Concepts
from kc.images import open_images
from kc.job import job
from kc.runtime import pick_device

p = snakemake.params
folder = Path(p.results) / "concepts"
with job(snakemake.log):
    map_networks(
        [ConceptNetwork(**plan) for plan in p.plans],
        open_images(Path(snakemake.input.images)),
        Concepts.model_validate(p.settings),
        folder / "networks",
        folder / "maps",
        pick_device(p.device),
    )
