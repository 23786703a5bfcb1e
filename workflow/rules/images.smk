rule images:
    output:
        f"{RESULTS}/images/{{dataset}}.json",
    log:
        f"{RESULTS}/logs/images/{{dataset}}.log",
    conda:
        ENV
    threads: 1
    params:
        root=MODULES,
        results=results_folder,
        settings=lambda wildcards: plain(SETTINGS.datasets[wildcards.dataset]),
        archive=lambda wildcards: str(SETTINGS.archive_of(wildcards.dataset) or ""),
        code=code_hash("kc.images.build"),
    script:
        "../scripts/images/build.py"
