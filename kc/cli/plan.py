"""``kc plan``: what a run will make, and how large it will be."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from kc.cli.options import AsJson, Base
from kc.cli.terminal import echo, echo_json
from kc.errors import KCError, RoomError
from kc.names import spell_bytes
from kc.plans.study import StudyPlan
from kc.settings.load import read_settings
from kc.settings.presets import DEFAULT_FILE, settings_file
from kc.settings.whole import Settings


def plan_command(
    study: Annotated[list[str] | None, typer.Argument(help="studies; default: all")] = None,
    configfile: Annotated[
        list[Path] | None,
        typer.Option(
            "--configfile",
            help="a preset (file, or name such as paper) merged over config.yaml; may be repeated",
        ),
    ] = None,
    data_root: Annotated[Path, typer.Option(help="folder of the archives")] = Path("data"),
    base: Base = DEFAULT_FILE,
    tflops: Annotated[
        float | None, typer.Option(help="concepts: 10^12 operations per second of your device")
    ] = None,
    cores: Annotated[
        int | None, typer.Option(min=1, help="simulate a run on so many cores, by an earlier one")
    ] = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="concepts: measure the rate of training steps here")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Estimate what a run will make: products, bytes on disk, jobs. Nothing is read or made.

    If 'concepts' is named: also what it will compute, and how many hours that takes.
    """
    from kc.plans.registry import STUDIES
    from kc.plans.studies import plan_of

    files = [settings_file(file) for file in [base, *(configfile or [])]]
    settings = read_settings(files, {"data_root": str(data_root)})
    if unknown := sorted(set(study or []) - set(STUDIES)):
        raise KCError(f"no study '{unknown[0]}'; there are {', '.join(STUDIES)}.")
    # concepts has its own networks and maps, which are counted separately
    plans = {name: plan_of(settings, name) for name in study or STUDIES if name != "concepts"}
    tell: Callable[[str], None] = (lambda _: None) if as_json else echo
    found: dict[str, Any] = {}
    if plans:
        found |= _plan_products(settings, plans, tell)
    if "concepts" in (study or []):
        found["concepts"] = _plan_concepts(settings, tflops, measure, tell)
    if cores is not None:
        found["time"] = _plan_time(settings, files, study or [], cores, tell)
    if as_json:
        echo_json(found)


def _plan_products(
    settings: Settings, plans: Mapping[str, StudyPlan], tell: Callable[[str], None]
) -> dict[str, Any]:
    """Tell what studies make, its peak size, and whether the disk has room for it."""
    from kc.estimates.disk import peak, refuse_full_disk
    from kc.estimates.runs import estimate

    found = estimate(settings, plans.values())
    shown = found.assign(bytes=found["bytes"].astype(float).map(spell_bytes))
    tell(shown.to_string(index=False))
    total, jobs, on_gpu = (int(found[name].sum()) for name in ("bytes", "jobs", "gpu_jobs"))
    tell(f"{spell_bytes(total)} on disk, {jobs} jobs, {on_gpu} may use a GPU")
    peaks = {}
    for drop in [("activations",), ("activations", "components")]:
        room = peak(settings, plans, drop)
        peaks[",".join(drop)] = room.total
        tell(
            f"peak with storage.drop [{', '.join(drop)}]: {spell_bytes(room.total)}"
            f"{room.when and f', in {room.when}'}"
        )
    try:
        disk = refuse_full_disk(settings, plans)
    except RoomError as error:
        disk = f"the workflow would refuse to start: {error}"
    tell(disk)
    products = json.loads(found.to_json(orient="records"))
    return {"products": products, "bytes": total, "jobs": jobs, "gpu_jobs": on_gpu} | {
        "peak_bytes_by_drop": peaks,
        "disk": disk,
    }


def _plan_concepts(
    settings: Settings, tflops: float | None, measure: bool, tell: Callable[[str], None]
) -> dict[str, Any]:
    """Tell what the concepts study computes, by data set and network."""
    from kc.estimates.concept_work import assumptions, concepts_work, hours

    found = concepts_work(settings)
    notes = assumptions(settings)
    if tflops is not None or measure:
        found, rates = hours(settings, found, tflops)
        notes.append(rates)
    else:
        notes.append("For hours: --tflops RATE, or --measure on the machine it will run on.")
    tell(found.to_string(index=False, float_format="{:,.4g}".format))
    for name in found.columns[3:]:
        tell(f"{name}, all: {found[name].sum():,.6g}")
    for note in notes:
        tell(f"- {note}")
    return {"work": json.loads(found.to_json(orient="records")), "notes": notes}


def _plan_time(
    settings: Settings,
    files: list[Path],
    studies: list[str],
    cores: int,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """Tell how long a run would take on more cores, from the times of an earlier run."""
    from kc.estimates.schedule import read_jobs, simulate
    from kc.estimates.time_left import spelled

    found = simulate(read_jobs(_graph(settings, files, studies), settings.results / "logs"), cores)
    tell(
        f"on {cores} cores, from the times of an earlier run: {spelled(found.seconds)}; all jobs "
        f"one after another: {spelled(found.work)}"
    )
    tell(f"longest chain, {spelled(found.chain_seconds)}: {', '.join(found.chain)}")
    return found._asdict()


def _graph(settings: Settings, files: list[Path], studies: list[str]) -> str:
    """Ask Snakemake which jobs wait for which.

    Raises
    ------
    KCError
        There is no workflow; Snakemake is not installed, or refuses.
    """
    base, *presets = files
    snakefile = base.resolve().parent / "Snakefile"
    if not snakefile.is_file():
        raise KCError(
            f"{snakefile}: no such file; --cores needs the workflow. Fix: run it in a checkout of "
            "kc, or --base CHECKOUT/config.yaml"
        )
    command = [sys.executable, "-m", "snakemake", *studies, "--snakefile", str(snakefile)]
    command += ["--dag", "dot", "--forceall", "--nolock", "--cores", "1"]
    command += ["--config", f"data_root={settings.data_root}"]
    command += ["--configfile", *map(str, presets)] if presets else []
    ended = subprocess.run(command, capture_output=True, text=True)  # noqa: S603, no shell
    if ended.returncode:
        told = (ended.stderr.strip() or ended.stdout.strip()).splitlines()
        raise KCError(f"{snakefile}: snakemake lists no jobs: {told[-1] if told else ''}")
    return ended.stdout
