import sys
from pathlib import Path

sys.path.insert(0, snakemake.params.root)

from kc.plans.products import NetworkPlan
from kc.settings.recipes import Distillation, Network, Recipe, Retraining
from kc.steps.job import job
from kc.steps.networks import Training, make_networks

p = snakemake.params
models = {"shape": Network, "recipe": Recipe}
models |= {"retraining": Retraining, "distillation": Distillation}
with job(snakemake.log, snakemake.threads):
    make_networks(
        [NetworkPlan(**plan) for plan in p.plans],
        Path(snakemake.input.images),
        Training(**{n: model.model_validate(p.training.get(n, {})) for n, model in models.items()}),
        Path(p.results),
        p.device,
    )
