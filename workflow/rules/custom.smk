# Pairs of one's own: `custom` in the settings.
for pair in SETTINGS.custom:

    rule:
        name:
            f"custom_{pair.name}"
        input:
            [str(path) for path in pair.files()],
        output:
            custom_outputs(pair),
        log:
            f"{RESULTS}/logs/custom/{pair.name}.log",
        conda:
            study_environment("custom")
        threads: 1
        resources:
            gpu=1,
            mem_mb=memory("consistency"),
            runtime=SETTINGS.cluster.consistency.minutes,
        params:
            root=MODULES,
            results=results_folder,
            device=SETTINGS.device,
            pair=plain(pair),
            activations=plain(SETTINGS.activations),
            consistency=plain(SETTINGS.consistency),
            code=code_of("kc.report.custom"),
        script:
            "../scripts/custom/compare.py"
