# One page of everything, to be opened from disk.
TEMPLATES = sorted(Path(workflow.basedir, "kc", "report", "templates").iterdir())


rule report:
    input:
        [outputs(study) for study in (*PLANS, "concepts")],
        [f"{RESULTS}/components/{fit.name}.json" for fit in KEPT],
    output:
        f"{RESULTS}/report/index.html",
    log:
        f"{RESULTS}/logs/report.log",
    conda:
        study_environment("report")
    threads: 1
    resources:
        mem_mb=memory("studies"),
        runtime=SETTINGS.cluster.studies.minutes,
    params:
        root=MODULES,
        settings=plain(SETTINGS),
        captions={
            study: Path(caption(study)).read_text(encoding="utf-8").strip()
            for study in [*PLANS, "concepts"]
        },
        code=code_of("kc.steps.page"),
        templates=lambda wildcards: [
            sha256(path.read_bytes()).hexdigest()[:16] for path in TEMPLATES
        ],
    script:
        "../scripts/report/page.py"
