rule stability:
    input:
        [f"{RESULTS}/fits/{fit.name}/card.json" for fit in FITS],
        [f"{RESULTS}/networks/{network.name}/card.json" for network in NETWORKS],
    output:
        TABLES + FIGURES,
    log:
        f"{RESULTS}/logs/stability.log",
    conda:
        ENV
    threads: 1
    params:
        root=MODULES,
        settings=plain(SETTINGS.of_study("stability")),
        code=code_hash("kc.report.stability"),
    script:
        "../scripts/studies/stability.py"
