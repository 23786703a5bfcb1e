import sys
from pathlib import Path

sys.path.insert(0, snakemake.params.root)

from kc.activations import record_networks
from kc.runtime import pick_device
from kc.settings.whole import Activations
from kc.steps.job import job
from kc.store import open_store
from kc.store.files import write_json_atomic
from kc.store.part import Destination, Part

p = snakemake.params
results = Path(p.results)
part = Part(*p.part)
with job(snakemake.log):
    recorded = record_networks(
        {name: results / "networks" / name for name in p.networks},
        p.nodes,
        open_store(Path(snakemake.input.images)),
        Activations.model_validate(p.settings),
        Destination(results / "activations", p.storage_root, part),
        pick_device(p.device),
    )
    if part.of > 1:
        write_json_atomic(Path(snakemake.output[0]), recorded)
