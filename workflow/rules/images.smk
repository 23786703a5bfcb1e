from kc.plans.layouts import code_of_dataset

for dataset, about in SETTINGS.datasets.items():

    rule:
        name:
            f"images_{dataset}"
        input:
            parts=[f"{RESULTS}/images/{part}.json" for part in about.parts],
        output:
            f"{RESULTS}/images/{dataset}.json",
        log:
            f"{RESULTS}/logs/images/{dataset}.log",
        benchmark:
            f"{RESULTS}/logs/images/{dataset}.tsv"
        conda:
            TORCH
        threads: SETTINGS.cluster.images.threads
        resources:
            mem_mb=memory("images"),
            runtime=SETTINGS.cluster.images.minutes,
        params:
            root=MODULES,
            settings=plain(about),
            archive=str(SETTINGS.archive_of(dataset) or ""),
            source=source_of(
                f"{RESULTS}/images/{dataset}.json",
                *filter(None, [SETTINGS.archive_of(dataset)]),
            ),
            code=code_of(
                "kc.steps.mixture" if about.parts else "kc.steps.images",
                *code_of_dataset(about),
            ),
        script:
            "../scripts/images/build.py"
