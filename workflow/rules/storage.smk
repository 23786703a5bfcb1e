# Dropped stores are removed after the last job that reads them. The manifest is removed too, so
# that a store is made again only if a job needs it again.
for store in DROPPED:

    rule:
        name:
            f"drop_{store.kind}_{store.name}"
        input:
            [
                f"{RESULTS}/fits/{f.name}/card.json"
                for f in FITS
                if f.pair in store.pairs
            ],
            [outputs(study) for study in store.studies if study != PAGE],
            [f"{RESULTS}/report/index.html" for study in store.studies if study == PAGE],
        output:
            f"{RESULTS}/{store.marker}",
        log:
            f"{RESULTS}/logs/dropped/{store.kind}-{store.name}.log",
        priority: 4
        localrule: True
        conda:
            EVERYTHING
        threads: 1
        resources:
            mem_mb=memory("studies"),
            runtime=SETTINGS.cluster.studies.minutes,
        params:
            root=MODULES,
            store=f"{RESULTS}/{store.path}",
            readers=[
                *(
                    f"fit_{job}"
                    for job, fits in FIT_JOBS.items()
                    if {fit.pair for fit in fits} & {*store.pairs}
                ),
                *store.studies,
            ],
        script:
            "../scripts/storage/drop.py"


onstart:
    if missing_room := room_missing():
        raise WorkflowError(missing_room)
    begin_register(Path(RESULTS))
    note_run(workflow, RESULTS)
    tell_time_left()
