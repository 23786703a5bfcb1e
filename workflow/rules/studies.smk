rule stability:
    input:
        [f"{RESULTS}/fits/{fit.name}/card.json" for fit in FITS],
        [f"{RESULTS}/networks/{network.name}/card.json" for network in NETWORKS],
    output:
        TABLES + FIGURES,
    params:
        root=MODULES,
        settings=plain(SETTINGS),
        code=code_hash("kc.report.stability"),
    log:
        f"{RESULTS}/logs/stability.log",
    conda:
        ENV
    threads: 1
    script:
        "../scripts/studies/stability.py"
