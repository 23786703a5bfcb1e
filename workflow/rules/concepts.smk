# Visual concepts in knowledge distillation: networks, entropy maps, tables and figures.
from kc.settings.concepts import concept_batches, concept_networks
from kc.errors import KCError
from kc.plans.studies import check_dataset

CONCEPTS = SETTINGS.concepts
CONCEPT_NETWORKS = concept_networks(CONCEPTS)
try:
    for where, dataset in CONCEPTS.datasets_named:
        check_dataset(SETTINGS, f"concepts.{where}", dataset)
except KCError as error:
    raise WorkflowError(str(error)) from None


for batch, members in concept_batches(CONCEPT_NETWORKS, SETTINGS.jobs).items():

    rule:
        name:
            f"train_concepts_{batch}"
        input:
            images=concept_images(members[0].dataset),
            teachers=concept_cards(
                {
                    n.teacher: None
                    for n in members
                    if n.teacher and n.teacher not in members
                }
            ),
        output:
            concept_cards(members),
        log:
            f"{RESULTS}/logs/concepts/train/{batch}.log",
        conda:
            TORCH
        threads: 1
        resources:
            gpu=1,
            mem_mb=memory("concepts"),
            runtime=SETTINGS.cluster.concepts.minutes,
        params:
            root=MODULES,
            results=results_folder,
            device=SETTINGS.device,
            plans=[plain(asdict(network)) for network in members],
            shape=plain(SETTINGS.network(members[0].architecture)),
            weights=weights_of(concept_cards(members)[0], members[0].architecture),
            lessons=plain(CONCEPTS.lessons_of(members[0].dataset)),
            layers=list(CONCEPTS.layers_of(members[0].dataset)),
            code=code_of("kc.concepts.networks"),
        script:
            "../scripts/concepts/train.py"

    rule:
        name:
            f"map_concepts_{batch}"
        input:
            concept_cards(members),
            images=concept_images(members[0].dataset),
        output:
            concept_maps(members),
        log:
            f"{RESULTS}/logs/concepts/maps/{batch}.log",
        conda:
            TORCH
        threads: 1
        resources:
            gpu=1,
            mem_mb=memory("concepts"),
            runtime=SETTINGS.cluster.concepts.minutes,
        params:
            root=MODULES,
            results=results_folder,
            device=SETTINGS.device,
            plans=[plain(asdict(network)) for network in members],
            settings=plain(CONCEPTS),
            code=code_of("kc.concepts.maps"),
        script:
            "../scripts/concepts/maps.py"


rule concepts:
    input:
        concept_cards(CONCEPT_NETWORKS),
        concept_maps(CONCEPT_NETWORKS),
        [concept_images(dataset) for dataset in CONCEPTS.datasets],
    output:
        outputs("concepts"),
    log:
        f"{RESULTS}/logs/concepts.log",
    conda:
        study_environment("concepts")
    threads: 1
    resources:
        mem_mb=memory("studies"),
        runtime=SETTINGS.cluster.studies.minutes,
    params:
        root=MODULES,
        study="concepts",
        settings=plain(SETTINGS.of_study("concepts")),
        code=code_of("kc.studies.concepts"),
    script:
        "../scripts/studies/study.py"
