# One rule for each study: its tables and figures.
for study, plan in PLANS.items():

    rule:
        name:
            study
        input:
            [f"{RESULTS}/fits/{fit.name}/card.json" for fit in plan.fits],
            [
                f"{RESULTS}/{kind}/{fit.name}/card.json"
                for kind in BESIDE
                for fit in plan.climbed
            ],
            [
                f"{RESULTS}/networks/{network.name}/card.json"
                for network in plan.networks
            ],
            [
                f"{RESULTS}/activations/{network.name}.json"
                for network in networks_of(plan.fits)
                if plan.stores
            ],
            [
                f"{RESULTS}/components/{fit.name}.json"
                for fit in KEPT
                if fit.name in {own.name for own in drawn_fits(study, plan)}
            ],
            [f"{RESULTS}/{path}" for path in plan.inputs],
        output:
            outputs(study),
        log:
            f"{RESULTS}/logs/{study}.log",
        benchmark:
            f"{RESULTS}/logs/{study}.tsv"
        priority: 3
        conda:
            study_environment(study)
        threads: SETTINGS.cluster.studies.threads
        resources:
            mem_mb=memory("studies"),
            runtime=SETTINGS.cluster.studies.minutes,
        params:
            root=MODULES,
            study=study,
            settings=plain(SETTINGS.told(study)),
            cases=list(plan.cases),
            code=code_of("kc.steps.study", f"kc.studies.{study}"),
        script:
            "../scripts/studies/study.py"
