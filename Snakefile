# Knowledge consistency between neural networks. Settings: config.yaml; presets: workflow/presets.
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.27")


configfile: workflow.source_path("config.yaml")


sys.path.insert(0, str(Path(workflow.basedir)))


include: "workflow/rules/common.smk"


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
