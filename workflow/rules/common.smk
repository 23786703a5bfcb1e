# Settings and plan, read once; what every rule file needs.
from dataclasses import asdict
from itertools import groupby

from kc.config import load_settings
from kc.errors import KCError
from kc.plan import networks_of, nodes_of, stability_plan
from kc.provenance import code_hash, plain

try:
    SETTINGS = load_settings(config)
except KCError as error:
    raise WorkflowError(str(error)) from None

RESULTS = str(SETTINGS.results)
STABILITY = stability_plan(SETTINGS)
FITS = STABILITY.fits
NETWORKS = networks_of(FITS)
MODULES = str(Path(workflow.basedir))
ENV = str(Path(workflow.basedir) / "envs" / "torch.yaml")
TABLES = [
    f"{RESULTS}/tables/{name}.{suffix}"
    for name in ("table1", "table2", "networks")
    for suffix in ("csv", "md", "tex", "json")
]
FIGURES = [f"{RESULTS}/figures/table1.{suffix}" for suffix in ("png", "svg")]
rules_of_studies = TABLES + FIGURES


def results_folder(wildcards):
    """Give scripts the folder that every product's path is made from."""
    return RESULTS


def batches(networks):
    """Group networks into the jobs that train and record them: name -> networks."""

    def name(network):
        if SETTINGS.jobs == "network":
            return network.name
        return f"{network.dataset}-{network.architecture}"

    return {
        key: list(group) for key, group in groupby(sorted(networks, key=name), key=name)
    }
