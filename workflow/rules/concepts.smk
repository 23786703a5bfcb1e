# Visual concepts in knowledge distillation: networks and entropy maps.
from kc.plans.concept_products import (
    card_paths,
    concept_batches,
    concept_networks,
    map_paths,
)
from kc.settings.concepts import Concepts

CONCEPTS = SETTINGS.of(Concepts)
CONCEPT_NETWORKS = concept_networks(CONCEPTS)


def concept_images(dataset):
    """Return the path of the manifest of a data set's image store."""
    return f"{RESULTS}/images/{dataset}.json"


def concept_cards(networks):
    """List the cards of trained networks."""
    return [f"{RESULTS}/{path}" for path in card_paths(networks)]


def concept_maps(networks):
    """List the manifests of the networks' entropy maps."""
    return [f"{RESULTS}/{path}" for path in map_paths(networks, CONCEPTS)]


for batch, members in concept_batches(
    CONCEPT_NETWORKS, SETTINGS.grouping("training")
).items():

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
        benchmark:
            f"{RESULTS}/logs/concepts/train/{batch}.tsv"
        conda:
            TORCH
        threads: SETTINGS.cluster.concepts.threads
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
            weights=weights_of(
                concept_cards(members)[0], {(n.architecture, n.start) for n in members}
            ),
            lessons=plain(CONCEPTS.lessons_of(members[0].dataset)),
            layers=list(CONCEPTS.layers_of(members[0].dataset)),
            code=code_of("kc.steps.concept_networks"),
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
        benchmark:
            f"{RESULTS}/logs/concepts/maps/{batch}.tsv"
        conda:
            TORCH
        threads: SETTINGS.cluster.concepts.threads
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
            code=code_of("kc.steps.concept_maps"),
        script:
            "../scripts/concepts/maps.py"
