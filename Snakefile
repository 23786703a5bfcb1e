# Knowledge consistency between neural networks. Settings: config.yaml; presets: workflow/presets.
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.27")


configfile: workflow.source_path("config.yaml")


# also where another workflow uses this one as a module
ROOT = Path(workflow.current_basedir.get_path_or_uri(secret_free=True))
sys.path.insert(0, str(ROOT))


include: "workflow/rules/common.smk"


if SETTINGS.container:

    container: SETTINGS.container


rule all:
    default_target: True
    input:
        [outputs(study) for study in PLANS],
        f"{RESULTS}/report/index.html",
        OWN_PAGES,
        [f"{RESULTS}/{store.marker}" for store in DROPPED],


rule custom:
    input:
        OWN_PAGES,


# the stages of all studies
rule networks:
    input:
        [f"{RESULTS}/networks/{network.name}/card.json" for network in NETWORKS],


rule activations:
    input:
        [f"{RESULTS}/activations/{network.name}.json" for network in networks_of(FITS)],


rule fits:
    input:
        [f"{RESULTS}/fits/{fit.name}/card.json" for fit in FITS],


include: "workflow/rules/images.smk"
include: "workflow/rules/networks.smk"
include: "workflow/rules/activations.smk"
include: "workflow/rules/consistency.smk"
include: "workflow/rules/titration.smk"
include: "workflow/rules/studies.smk"
include: "workflow/rules/concepts.smk"
include: "workflow/rules/custom.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/storage.smk"
include: "workflow/rules/download.smk"
