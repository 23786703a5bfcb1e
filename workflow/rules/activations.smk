RECORDED = networks_of(FITS)

for batch, members in batches(RECORDED, SETTINGS.jobs).items():

    rule:
        name:
            f"record_{batch}"
        input:
            images=f"{RESULTS}/images/{members[0].dataset}.json",
            networks=[
                f"{RESULTS}/networks/{network.name}/card.json" for network in members
            ],
        output:
            [f"{RESULTS}/activations/{network.name}.json" for network in members],
        log:
            f"{RESULTS}/logs/activations/{batch}.log",
        conda:
            ENV
        threads: 1
        resources:
            gpu=1,
        params:
            root=MODULES,
            results=results_folder,
            device=SETTINGS.device,
            networks=[network.name for network in members],
            nodes=sorted(
                {node for member in members for node in nodes_of(member, FITS)}
            ),
            settings=plain(SETTINGS.activations),
            code=code_hash("kc.activations.record"),
        script:
            "../scripts/activations/record.py"
