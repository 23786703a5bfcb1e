# Settings, plans and functions for all rule files.
from dataclasses import asdict
from hashlib import sha256

from kc.errors import KCError, RoomError
from kc.estimates.time_left import RunJob, TimeLeft, kind_of
from kc.files.made import begin_register
from kc.files.sources import FOLDER, digest_of
from kc.names import BESIDE
from kc.plans.commands import note_run
from kc.plans.outputs import drawn_fits, outputs_of
from kc.plans.products import (
    batches,
    fit_jobs,
    merged,
    networks_of,
    nodes_of,
    with_origins,
)
from kc.plans.registry import STUDIES
from kc.plans.stores import PAGE, kept_fits, store_uses
from kc.plans.studies import plans
from kc.plans.variants import suffixes
from kc.provenance import code_hash, plain
from kc.settings.file import check_files
from kc.settings.load import load_settings
from kc.settings.presets import over_default

try:
    # Snakemake's reader drops the first of two equal keys
    check_files(workflow.configfiles)
    # Snakemake does not read config.yaml for a module
    SETTINGS = load_settings(
        over_default(config) if workflow.modifier.is_module else config
    )
    PLANS = plans(SETTINGS)
except KCError as error:
    raise WorkflowError(str(error)) from None

RESULTS = str(SETTINGS.results)
# jobs follow manifests only to the place that these settings name
SETTINGS.storage.announce()
FITS = merged(fit for plan in PLANS.values() for fit in plan.fits)
FIT_JOBS = fit_jobs(FITS, SETTINGS.grouping("fitting"))
CLIMBED = merged(fit for plan in PLANS.values() for fit in plan.climbed)
REPEATS = max(plan.repeats for plan in PLANS.values())
NETWORKS = with_origins(network for plan in PLANS.values() for network in plan.networks)
KEPT = kept_fits(SETTINGS, FITS)
DROPPED = [
    store
    for store in store_uses(SETTINGS, PLANS)
    if store.kind in SETTINGS.storage.drop
]
OWN_PAGES = [f"{RESULTS}/custom/{pair.name}/index.html" for pair in SETTINGS.custom]
MODULES = str(ROOT)
# a workflow that uses this one as a module may change the names of the rules
NAMED = {study: workflow.modifier.modify_rulename(study) for study in PLANS}
TORCH = f"{MODULES}/envs/torch.yaml"
EVERYTHING = f"{MODULES}/envs/studies.yaml"
# used by workflow/report/study.rst, which is rendered for the rule of a file
config["captions"] = {name: study.caption for name, study in STUDIES.items()}


def room_missing():
    """Return an error if the disk is too small for the studies to make, else an empty text."""
    asked = {job.rule.name for job in workflow.dag.needrun_jobs()}
    studies = {
        n: plan for n, plan in PLANS.items() if NAMED[n] in asked and plan.networks
    }
    if not studies or not SETTINGS.storage.check_disk:
        return ""
    try:
        from kc.estimates.disk import refuse_full_disk

        refuse_full_disk(SETTINGS, studies)
    except RoomError as error:
        return str(error)
    # the workflow's environment may lack torch; an archive's images may be unknown
    except (ImportError, KCError) as error:
        logger.warning(f"Free disk space was not checked: {error}")
    return ""


def tell_time_left():
    """Follow the run's jobs and tell, on the terminal and in the log, how much time is left."""
    dag = workflow.dag
    jobs = {
        dag.jobid(job): RunJob(kind_of(job.rule.name), max(1, len(job.output)))
        for job in dag.needrun_jobs()
    }
    logger.addHandler(TimeLeft(jobs, logger.info))


def results_folder(wildcards):
    """Return the results folder, from which scripts build all paths."""
    return RESULTS


def code_of(*modules):
    """Return a function that hashes a step's code; only jobs that Snakemake evaluates need it."""
    return lambda wildcards: code_hash(*modules)


def source_of(made, *paths):
    """Return a function that digests the user's files from which a job makes ``made``.

    It reads only files that changed since the last time. A dry run reads nothing if ``made`` is
    missing: its job runs for any digest.
    """

    def digest(wildcards):
        if workflow.dryrun and not Path(made).exists():
            return "not read in a dry run"
        try:
            return digest_of(paths, Path(RESULTS, FOLDER)) if paths else ""
        except KCError as error:
            raise WorkflowError(str(error)) from None

    return digest


def weights_of(made, starts):
    """Return a function that digests the files of weights of a job, by pairs of network and start."""
    shapes = [SETTINGS.network(name).started(start) for name, start in starts]
    own = {Path(s.weights) for s in shapes if s.weights not in (None, "imagenet")}
    return source_of(made, *sorted(own))


def study_environment(study):
    """Return the conda environment of a study; it has no torch if the study reads only cards."""
    return f"{MODULES}/envs/{STUDIES[study].environment}.yaml"


def reported(category, files, caption):
    """Mark tables and figures under the results folder for Snakemake's report."""
    kinds = {".csv": "tables", ".png": "figures"}
    about, found = f"{MODULES}/workflow/report/{caption}.rst", []
    for path in [f"{RESULTS}/{name}" for name in files]:
        kind = kinds.get(Path(path).suffix)
        shown = report(path, caption=about, category=category, subcategory=kind)
        found.append(shown if kind else path)
    return found


def memory(stage):
    """Return a function for a job's memory on a cluster, MB, which grows with each attempt."""
    return lambda wildcards, attempt: attempt * getattr(SETTINGS.cluster, stage).mem_mb


def outputs(study):
    """List the outputs of a study's rule."""
    return reported(study, outputs_of(SETTINGS, study, PLANS[study]), "study")


def custom_outputs(pair):
    """List the outputs of one of the user's own pairs."""
    files = [f"custom/{pair.name}/{name}" for name in pair.outputs()]
    return reported("custom", files, "custom")
