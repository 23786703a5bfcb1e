# Differences of known size, made from one network's feature: the first part of known_difference.
from kc.names import node_of
from kc.plans.records.known_difference import (
    KnownDifference,
    titration_fits,
    titration_name,
)

KNOWN = SETTINGS.of(KnownDifference)
TITRATION = titration_name(KNOWN)


rule:
    name:
        f"titrate_{TITRATION}"
    input:
        f"{RESULTS}/activations/{KNOWN.titrated.name}.json",
    output:
        f"{RESULTS}/titrations/{TITRATION}/card.json",
        [
            f"{RESULTS}/fits/{name}/card.json"
            for name in titration_fits(TITRATION, KNOWN.added, KNOWN.deleted)
        ],
    log:
        f"{RESULTS}/logs/titrations/{TITRATION}.log",
    benchmark:
        f"{RESULTS}/logs/titrations/{TITRATION}.tsv"
    priority: 2
    conda:
        TORCH
    threads: SETTINGS.cluster.consistency.threads
    resources:
        gpu=1,
        mem_mb=memory("consistency"),
        runtime=SETTINGS.cluster.consistency.minutes,
    params:
        root=MODULES,
        results=results_folder,
        device=SETTINGS.device,
        name=TITRATION,
        network=KNOWN.titrated.name,
        node=node_of(KNOWN.architecture, KNOWN.layer),
        added=list(KNOWN.added),
        deleted=list(KNOWN.deleted),
        settings=plain(SETTINGS.consistency),
        code=code_of("kc.steps.titrations"),
    script:
        "../scripts/consistency/titrate.py"
