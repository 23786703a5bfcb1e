# The user's own pairs: `custom` in the settings. Their files are not inputs: Snakemake would check
# the times of a folder, but not the pictures in it, nor the imports of a network's file.
from kc.datasets.hdf5 import files_of
from kc.files.user_code import files_imported


def files_behind(path):
    """List the files behind a path; the job refuses unreadable ones."""
    try:
        if path.is_file() and path.suffix == ".py":
            return files_imported(path)
        if path.is_file() and path.suffix in (".h5", ".hdf5"):
            return files_of(path)
    except KCError:
        pass
    return [path]


def sources_of(pair):
    """Return a function that digests all files of a pair, including imports of its code."""
    made = f"{RESULTS}/custom/{pair.name}/index.html"
    found = {}
    for path in pair.files():
        found[str(path)] = source_of(made, *files_behind(path))
    return lambda wildcards: {name: digest(wildcards) for name, digest in found.items()}


def missing_of(pair):
    """List the missing files of a pair that was not made yet; Snakemake then names them."""
    if Path(RESULTS, "custom", pair.name, "index.html").exists():
        return []
    return [str(path) for path in pair.files() if not path.exists()]


for pair in SETTINGS.custom:

    rule:
        name:
            f"custom_{pair.name}"
        input:
            missing_of(pair),
        output:
            custom_outputs(pair),
        log:
            f"{RESULTS}/logs/custom/{pair.name}.log",
        benchmark:
            f"{RESULTS}/logs/custom/{pair.name}.tsv"
        conda:
            EVERYTHING
        threads: SETTINGS.cluster.consistency.threads
        resources:
            gpu=1,
            mem_mb=memory("consistency"),
            runtime=SETTINGS.cluster.consistency.minutes,
        params:
            root=MODULES,
            results=results_folder,
            device=SETTINGS.device,
            pair=plain(pair),
            sources=sources_of(pair),
            activations=plain(SETTINGS.activations),
            consistency=plain(SETTINGS.consistency),
            code=code_of("kc.steps.custom"),
        script:
            "../scripts/custom/compare.py"
