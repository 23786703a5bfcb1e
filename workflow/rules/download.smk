# Downloads the public archives that the settings name. No other rule needs it.
rule download:
    log:
        f"{RESULTS}/logs/download.log",
    localrule: True
    conda:
        f"{MODULES}/envs/download.yaml"
    threads: 1
    params:
        root=MODULES,
        files=[(url, str(path), known) for url, path, known in SETTINGS.downloads()],
    script:
        "../scripts/download/fetch.py"
