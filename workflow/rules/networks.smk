# One rule a batch, so that every network's card is an output of its own.
for batch, members in batches(NETWORKS).items():

    rule:
        name:
            f"train_{batch}"
        input:
            images=f"{RESULTS}/images/{members[0].dataset}.json",
        output:
            [f"{RESULTS}/networks/{network.name}/card.json" for network in members],
        log:
            f"{RESULTS}/logs/networks/{batch}.log",
        conda:
            ENV
        threads: 1
        resources:
            gpu=1,
        params:
            root=MODULES,
            results=results_folder,
            device=SETTINGS.device,
            plans=[plain(asdict(network)) for network in members],
            shape=plain(SETTINGS.network(members[0].architecture)),
            recipe=plain(SETTINGS.training),
            code=code_hash("kc.networks.train"),
        script:
            "../scripts/networks/train.py"
