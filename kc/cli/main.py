"""The command ``kc``: look at stores, check them, plan a run. Everything else is Snakemake's."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from kc.cli.compare import add_commands
from kc.cli.explain import add_command as add_explain
from kc.errors import KCError, RoomError
from kc.names import spell_bytes
from kc.settings.load import read_settings
from kc.settings.whole import Settings, json_schema

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
store = typer.Typer(no_args_is_help=True, help="Image, activation and component stores.")
images = typer.Typer(no_args_is_help=True, help="Image stores.")
config = typer.Typer(no_args_is_help=True, help="Settings.")
app.add_typer(store, name="store")
app.add_typer(images, name="images")
app.add_typer(config, name="config")

StorePath = Annotated[Path, typer.Argument(help="the store (NAME.zarr) or its manifest")]
Network = Annotated[
    bool,
    typer.Option("--network", help="follow a manifest to arrays that lie in a bucket"),
]
ConfigFiles = Annotated[
    list[Path] | None,
    typer.Option("--configfile", help="a preset, merged over config.yaml; may be repeated"),
]


def _clear[**P, R](command: Callable[P, R]) -> Callable[P, R]:
    """Show what the user can mend as one message, without a traceback; exit with 2."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except KCError as error:
            typer.echo(f"{type(error).__name__}: {error}", err=True)
            raise typer.Exit(2) from None

    return run


@store.command("info")
@_clear
def store_info(
    path: StorePath,
    row: Annotated[int | None, typer.Option(help="say which image this row is")] = None,
    network: Network = False,
) -> None:
    """Say what a store holds, from what it was made, and which image a row is."""
    from kc.store import open_store

    opened = open_store(path, network)
    if row is not None:
        if not 0 <= row < len(opened.rows):
            raise KCError(f"{path}: no row {row}; there are rows 0 to {len(opened.rows) - 1}.")
        about = opened.rows.iloc[row]
        for name in ["image_id", *about.index.drop("image_id")]:
            typer.echo(f"{name}: {about[name]}")
        return
    typer.echo(f"{opened.path}: {len(opened.rows)} images, digest {opened.digest}")
    for name in opened.names:
        array = opened[name]
        size = sum(shard["bytes"] for shard in opened.manifest["arrays"][name]["shards"])
        shape = " x ".join(map(str, array.shape))
        dims = ", ".join(array.dims)
        shards = f"{array.shards} shards of {array.shard_rows} images, {spell_bytes(float(size))}"
        typer.echo(f"  {name}: {shape} ({dims}) {array.kc_dtype}, {shards}")
    for name, value in opened.attributes.items():
        typer.echo(f"  {name}: {json.dumps(value) if not isinstance(value, str) else value}")


@store.command("verify")
@_clear
def store_verify(
    path: Annotated[Path, typer.Argument(help="a store, a fit's or network's folder, or results")],
    sources: Annotated[
        bool,
        typer.Option("--sources", help="read archives, pictures and features again as well"),
    ] = False,
    network: Network = False,
) -> None:
    """Check every file; one line a damage; exit with 1 if there is one.

    What lies in a bucket is looked at where its address is given, or with --network.
    """
    from kc.store.network import over_network
    from kc.store.source_check import moved_sources
    from kc.store.verify import damages_under

    with over_network(network):
        damages = damages_under(path)
    damages += moved_sources(path) if sources else []
    for damage in damages:
        typer.echo(damage, err=True)
    if damages:
        raise typer.Exit(1)
    typer.echo(f"{path}: whole")


@images.command("info")
@_clear
def images_info(path: StorePath, network: Network = False) -> None:
    """Count an image store's images by class and subset."""
    from kc.images import open_images
    from kc.store.network import over_network

    with over_network(network):
        rows = open_images(path).rows
    counts = rows.groupby(["label", "class_name", "subset"]).size().unstack(fill_value=0)
    typer.echo(counts.reset_index().to_string(index=False))
    subsets = ", ".join(f"{n} {name}" for name, n in rows["subset"].value_counts().items())
    typer.echo(f"{path}: {len(rows)} images of {rows['label'].nunique()} classes: {subsets}")


@config.command("schema")
def config_schema() -> None:
    """Print the JSON schema of the settings."""
    typer.echo(json_schema(), nl=False)


@config.command("check")
@_clear
def config_check(files: Annotated[list[Path], typer.Argument(help="config.yaml, presets")]) -> None:
    """Check settings, each file merged over those before it."""
    read_settings(files)
    typer.echo("the settings are valid")


@app.command("plan")
@_clear
def plan(
    study: Annotated[
        list[str] | None, typer.Argument(help="studies, or 'concepts' alone; none: all")
    ] = None,
    configfile: ConfigFiles = None,
    data_root: Annotated[Path, typer.Option(help="folder of the archives")] = Path("data"),
    base: Annotated[Path, typer.Option(help="the default settings")] = Path("config.yaml"),
    tflops: Annotated[
        float | None, typer.Option(help="concepts: 10^12 operations a second your device keeps up")
    ] = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="concepts: take the rate of training steps here")
    ] = False,
) -> None:
    """Estimate what a run will make: products, bytes on disk, jobs. Makes and reads nothing.

    Of 'concepts': what it will compute, and the hours this takes.
    """
    from kc.estimates.disk import peak, refuse_full_disk
    from kc.estimates.runs import estimate
    from kc.plans.registry import STUDIES
    from kc.plans.studies import plan_of

    settings = read_settings([base, *(configfile or [])], {"data_root": str(data_root)})
    if study == ["concepts"]:
        _plan_concepts(settings, tflops, measure)
        return
    # the networks and maps of concepts are its own, and counted by what they compute
    known = [name for name in STUDIES if name != "concepts"]
    if unknown := sorted(set(study or []) - set(known)):
        raise KCError(f"no study '{unknown[0]}'; there are {', '.join(known)}, or concepts alone.")
    plans = {name: plan_of(settings, name) for name in study or known}
    found = estimate(settings, plans.values())
    shown = found.assign(bytes=found["bytes"].astype(float).map(spell_bytes))
    typer.echo(shown.to_string(index=False))
    total = spell_bytes(float(found["bytes"].sum()))
    jobs, on_gpu = found["jobs"].sum(), found["gpu_jobs"].sum()
    typer.echo(f"{total} on disk, {jobs} jobs, {on_gpu} may use a GPU")
    for drop in [("activations",), ("activations", "components")]:
        room = peak(settings, plans, drop)
        typer.echo(
            f"peak with storage.drop [{', '.join(drop)}]: {spell_bytes(room.total)}"
            f"{room.when and f', in {room.when}'}"
        )
    try:
        typer.echo(refuse_full_disk(settings, plans))
    except RoomError as error:
        typer.echo(f"the workflow would refuse: {error}")


add_commands(app, _clear)
add_explain(app, _clear)


def _plan_concepts(settings: Settings, tflops: float | None, measure: bool) -> None:
    """Print what the concepts study computes, by data set and network."""
    from kc.estimates.concept_work import assumptions, concepts_work, hours

    found = concepts_work(settings)
    notes = assumptions(settings)
    if tflops is not None or measure:
        found, rates = hours(settings, found, tflops)
        notes.append(rates)
    else:
        notes.append("For hours: --tflops RATE, or --measure on the machine it will run on.")
    typer.echo(found.to_string(index=False, float_format="{:,.4g}".format))
    for name in found.columns[3:]:
        typer.echo(f"{name}, all: {found[name].sum():,.6g}")
    for note in notes:
        typer.echo(f"- {note}")
