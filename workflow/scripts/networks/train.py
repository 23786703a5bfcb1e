import sys
from pathlib import Path

sys.path.insert(0, snakemake.params.root)

from kc.config import Network, Recipe
from kc.images import open_images
from kc.job import job
from kc.networks import train_networks
from kc.plan import NetworkPlan
from kc.runtime import pick_device

p = snakemake.params
with job(snakemake.log):
    train_networks(
        [NetworkPlan(**plan) for plan in p.plans],
        open_images(Path(snakemake.input.images)),
        Network.model_validate(p.shape),
        Recipe.model_validate(p.recipe),
        Path(p.results) / "networks",
        pick_device(p.device),
    )
