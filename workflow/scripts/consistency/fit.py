import sys
from pathlib import Path

sys.path.insert(0, snakemake.params.root)

from kc.consistency.products import fit_pairs
from kc.plans.products import FitPlan, NetworkPlan
from kc.runtime import pick_device
from kc.settings.whole import Consistency
from kc.steps.job import job
from kc.store.part import Destination

p = snakemake.params
results = Path(p.results)
ends = {"source", "target"}
with job(snakemake.log):
    fit_pairs(
        [
            FitPlan(**{n: NetworkPlan(**v) if n in ends else v for n, v in fit.items()})
            for fit in p.fits
        ],
        {name: results / "activations" / f"{name}.json" for name in p.networks},
        Consistency.model_validate(p.settings),
        0,
        Destination(results, p.storage_root),
        pick_device(p.device),
    )
