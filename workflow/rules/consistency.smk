# All fits of a pair of networks, both directions and all layers, are one job.
for pair, fits in FIT_JOBS.items():
    ends = networks_of(fits)

    rule:
        name:
            f"fit_{pair}"
        input:
            [f"{RESULTS}/activations/{network.name}.json" for network in ends],
        output:
            [f"{RESULTS}/fits/{fit.name}/card.json" for fit in fits],
            [f"{RESULTS}/components/{fit.name}.json" for fit in fits if fit in KEPT],
        log:
            f"{RESULTS}/logs/fits/{pair}.log",
        benchmark:
            f"{RESULTS}/logs/fits/{pair}.tsv"
        priority: 2
        conda:
            TORCH
        threads: SETTINGS.cluster.consistency.threads
        resources:
            gpu=1,
            mem_mb=memory("consistency"),
            runtime=SETTINGS.cluster.consistency.minutes,
        params:
            root=MODULES,
            results=results_folder,
            device=SETTINGS.device,
            fits=[plain(asdict(fit)) for fit in fits],
            settings=plain(SETTINGS.consistency),
            storage_root=SETTINGS.storage.of("components", SETTINGS.results),
            code=code_of("kc.steps.fits"),
        script:
            "../scripts/consistency/fit.py"


# For some fits also linear maps, lower orders, other lambda, and other seeds of g.
for fit in CLIMBED:

    rule:
        name:
            f"ladder_{fit.name}"
        input:
            f"{RESULTS}/fits/{fit.name}/card.json",
            [f"{RESULTS}/activations/{end.name}.json" for end in networks_of([fit])],
        output:
            [f"{RESULTS}/{kind}/{fit.name}/card.json" for kind in BESIDE],
            [
                f"{RESULTS}/fits/{fit.name}{suffix}/card.json"
                for suffix in suffixes(SETTINGS.consistency, REPEATS)
            ],
        log:
            f"{RESULTS}/logs/ladders/{fit.name}.log",
        benchmark:
            f"{RESULTS}/logs/ladders/{fit.name}.tsv"
        priority: 2
        conda:
            TORCH
        threads: SETTINGS.cluster.consistency.threads
        resources:
            gpu=1,
            mem_mb=memory("consistency"),
            runtime=SETTINGS.cluster.consistency.minutes,
        params:
            root=MODULES,
            results=results_folder,
            device=SETTINGS.device,
            fits=[plain(asdict(fit))],
            repeats=REPEATS,
            settings=plain(SETTINGS.consistency),
            code=code_of("kc.steps.ladders"),
        script:
            "../scripts/consistency/ladder.py"
