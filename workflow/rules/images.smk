rule images:
    output:
        f"{RESULTS}/images/{{dataset}}.json",
    params:
        root=MODULES,
        results=RESULTS,
        settings=lambda wildcards: plain(SETTINGS.datasets[wildcards.dataset]),
        archive=lambda wildcards: str(SETTINGS.archive_of(wildcards.dataset) or ""),
        code=code_hash("kc.images.build"),
    log:
        f"{RESULTS}/logs/images/{{dataset}}.log",
    conda:
        ENV
    threads: 1
    script:
        "../scripts/images/build.py"
