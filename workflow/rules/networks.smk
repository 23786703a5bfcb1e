def training_of(network):
    """Return the settings of a network's training; those of pruning or distilling only if used."""
    about = {
        "shape": SETTINGS.network(network.architecture).started(network.weights),
        "recipe": SETTINGS.training,
    }
    if network.kind == "pruned":
        about["retraining"] = SETTINGS.compression.retraining
    if network.kind == "born_again":
        about["distillation"] = SETTINGS.born_again.distillation
    return plain(about)


# One rule for each batch, so that every network's card is a separate output.
for batch, members in batches(NETWORKS, SETTINGS.grouping("training")).items():

    rule:
        name:
            f"train_{batch}"
        input:
            images=f"{RESULTS}/images/{members[0].dataset}.json",
            origins=[
                f"{RESULTS}/networks/{origin.name}/card.json"
                for origin in sorted(
                    {n.origin for n in members if n.origin} - {*members}
                )
            ],
        output:
            [f"{RESULTS}/networks/{network.name}/card.json" for network in members],
        log:
            f"{RESULTS}/logs/networks/{batch}.log",
        benchmark:
            f"{RESULTS}/logs/networks/{batch}.tsv"
        conda:
            TORCH
        threads: SETTINGS.cluster.networks.threads
        resources:
            gpu=1,
            mem_mb=memory("networks"),
            runtime=SETTINGS.cluster.networks.minutes,
        params:
            root=MODULES,
            results=results_folder,
            device=SETTINGS.device,
            plans=[plain(asdict(network)) for network in members],
            training=training_of(members[0]),
            weights=weights_of(
                f"{RESULTS}/networks/{members[0].name}/card.json",
                {(n.architecture, n.weights) for n in members},
            ),
            code=code_of("kc.steps.networks"),
        script:
            "../scripts/networks/train.py"
