import sys
from pathlib import Path

sys.path.insert(0, snakemake.params.root)

from kc.plans.products import NetworkPlan
from kc.runtime import pick_device
from kc.settings.recipes import Distillation, Network, Recipe, Retraining
from kc.steps.job import job
from kc.steps.networks import Training, train_networks
from kc.store import open_store

p = snakemake.params
models = {"shape": Network, "recipe": Recipe}
models |= {"retraining": Retraining, "distillation": Distillation}
with job(snakemake.log):
    train_networks(
        [NetworkPlan(**plan) for plan in p.plans],
        open_store(Path(snakemake.input.images)),
        Training(**{n: model.model_validate(p.training.get(n, {})) for n, model in models.items()}),
        Path(p.results) / "networks",
        pick_device(p.device),
    )
