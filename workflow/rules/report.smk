# One page of all results, which opens from disk.
TEMPLATES = sorted(Path(MODULES, "kc", "report", "templates").iterdir())


rule report:
    input:
        [outputs(study) for study in PLANS],
        [f"{RESULTS}/components/{fit.name}.json" for fit in KEPT],
    output:
        f"{RESULTS}/report/index.html",
    log:
        f"{RESULTS}/logs/report.log",
    benchmark:
        f"{RESULTS}/logs/report.tsv"
    conda:
        EVERYTHING
    threads: SETTINGS.cluster.studies.threads
    resources:
        mem_mb=memory("studies"),
        runtime=SETTINGS.cluster.studies.minutes,
    params:
        root=MODULES,
        settings=plain(SETTINGS),
        words={
            name: [study.title, study.caption, {**study.plots, **PLANS[name].figures}]
            for name, study in STUDIES.items()
        },
        code=code_of("kc.steps.page"),
        templates=lambda wildcards: [
            sha256(path.read_bytes()).hexdigest()[:16] for path in TEMPLATES
        ],
    script:
        "../scripts/report/page.py"
