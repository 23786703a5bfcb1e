# In a scattered recording, each part's job records whole shards of the stores. The last job is the
# only one without parts: it finds their shards, checks them and writes the manifests.
RECORDED = networks_of(FITS)


def recordings(batch, members):
    """Return a batch's jobs: name, own part of the stores, parts they wait for, outputs."""
    count = SETTINGS.cluster.scatter
    folder = f"{RESULTS}/activations"
    parts = [f"{folder}/parts/{batch}-{i}-of-{count}.json" for i in range(count)]
    if count == 1:
        parts = []
    for index, part in enumerate(parts):
        yield f"{batch}-{index}-of-{count}", (index, count), [], [part]
    yield batch, (0, 1), parts, [f"{folder}/{network.name}.json" for network in members]


for batch, members in batches(RECORDED, SETTINGS.grouping("recording")).items():
    for name, part, parts, made in recordings(batch, members):

        rule:
            name:
                f"record_{name}"
            input:
                parts,
                images=f"{RESULTS}/images/{members[0].dataset}.json",
                networks=[
                    f"{RESULTS}/networks/{network.name}/card.json"
                    for network in members
                ],
            output:
                made,
            log:
                f"{RESULTS}/logs/activations/{name}.log",
            benchmark:
                f"{RESULTS}/logs/activations/{name}.tsv"
            priority: 1
            conda:
                TORCH
            threads: SETTINGS.cluster.activations.threads
            resources:
                gpu=1,
                mem_mb=memory("activations"),
                runtime=SETTINGS.cluster.activations.minutes,
            params:
                root=MODULES,
                results=results_folder,
                device=SETTINGS.device,
                networks=[network.name for network in members],
                nodes=sorted(
                    {node for member in members for node in nodes_of(member, FITS)}
                ),
                settings=plain(SETTINGS.activations),
                part=part,
                storage_root=SETTINGS.storage.of("activations", SETTINGS.results),
                code=code_of("kc.steps.activations"),
            script:
                "../scripts/activations/record.py"
