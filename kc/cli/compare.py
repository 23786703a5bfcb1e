"""``kc compare`` and ``kc layers``: compare your own networks or features."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from kc.cli.options import AsJson, optional, options_of, settings_of, with_options
from kc.cli.terminal import echo, echo_json, show_table
from kc.errors import SettingsError
from kc.plans.commands import command
from kc.settings.custom import (
    CENTRING,
    LAYOUT,
    NETWORK,
    REMOTE,
    TAP,
    WEIGHTS,
    Look,
    MapLayout,
    Pair,
    Tapping,
)
from kc.settings.feature_maps import Activations
from kc.settings.models import Models
from kc.settings.preparation import Prepare
from kc.settings.reconstruction import Consistency, Optimiser

LOG = logging.getLogger("kc")
RANK = (
    "of each W of g, factorised C x RANK x C: a number, full (not factorised), or auto (full up to "
    "512 channels, for wider maps as many as the images support)"
)
PLAIN = [name for name in Pair.model_fields if not name.startswith("prepare_")]
"""Fields of a pair that are one option each; those of ``prepare_a`` have the side's letter."""
THREADS = (
    "cores to use; another number rounds sums differently, which can move a share about as another "
    "seed of g does (--repeats)"
)
SIDES = ("a", "b")
COMPARED, MANY, PICTURES, EACH, LAYERS, G, RUN = (
    "What is compared",
    "Many models",
    "Pictures",
    "Pictures of one side",
    "Layers and features",
    "Fits of g",
    "Run",
)
"""Groups of the options in the help."""
PANELS = {
    PICTURES: (*Prepare.model_fields, "view", "test_share"),
    LAYERS: ("ids_a", "ids_b", "layout_a", "layout_b", "tokens", "align", "tap"),
    G: ("fits", "repeats", "ladder", "seed"),
}
DEVICE = typer.Option(
    help="of networks and fits", metavar="auto|cpu|cuda|cuda:N|mps", rich_help_panel=RUN
)
_EXAMPLE = (
    *("kc", "compare", "--a", "torchvision:resnet18/DEFAULT", "--b", "timm:resnet18.a1_in1k"),
    *("--layer-a", "layer3.1.add", "--layer-b", "layer3.1.add"),
    *("--images", "photos", "--out", "compared"),
)
EXAMPLE = f"Example: `{command(*_EXAMPLE)}`"
MODELS, LAYER_OF_MODELS, REFERENCES = (
    Models.model_fields[name].description for name in ("models", "layer", "references")
)
FIT = ("order", "penalty", "centring", "gain")
"""Options that are fields of :class:`kc.settings.reconstruction.Consistency`."""
READ = {
    "nchw": "",
    "nhwc": "  read as (y, x, channels)",
    "unclear": "  (y, x, channels)? Fix: --layout nhwc or nchw",
}
"""What follows a shape in the list of layers."""


def panel_of(name: str) -> str:
    """Return the group in the help that shows a field of a pair."""
    return next((panel for panel, names in PANELS.items() if name in names), COMPARED)


def announce(text: str) -> None:
    """Print what a comparison tells while it runs, unless the user wants it quiet."""
    if LOG.isEnabledFor(logging.WARNING):
        echo(text, err=True)


def layers_command(
    network: Annotated[str, typer.Argument(help=NETWORK)],
    weights: Annotated[Path | None, typer.Option(help=WEIGHTS)] = None,
    size: Annotated[
        int | None,
        typer.Option(
            min=1, max=2048, help="side of the pictures, px (else as weights say, or 224)"
        ),
    ] = None,
    remote_code: Annotated[bool, typer.Option("--remote-code", help=REMOTE)] = False,
    tap: Annotated[Tapping, typer.Option(help=TAP)] = "auto",
    layout: Annotated[MapLayout, typer.Option(help=LAYOUT)] = "auto",
    as_json: AsJson = False,
) -> None:
    """List the layers of a network that can be compared, with the shape of one image's feature.

    Shapes are those that are stored: tokens x units, or channels x y x x. Weights that a name
    tells are not loaded.
    """
    from kc.comparison import outline, read_network
    from kc.comparison.layers import listed
    from kc.runtime import use_threads

    use_threads(1)
    if weights is None:
        found = outline(network, remote_code, size)
    else:
        found = read_network(network, weights)
    own = found.prepared.size if found.prepared else 224
    layers = listed(replace(found, layout=layout), size or own, tap)
    if as_json:
        echo_json([layer._asdict() for layer in layers])
        return
    for layer in layers:
        echo(f"{layer.name}  {' x '.join(map(str, layer.shape))}{READ[layer.read]}")


@with_options(
    *(
        optional(option) if option.name in SIDES else option
        for name in sorted(PLAIN, key=Look.model_fields.__contains__)
        for option in options_of(Pair, name, panel=panel_of(name))
    ),
    *(
        option.replace(name=f"{option.name}_{letter}")
        for letter in "ab"
        for option in options_of(
            Prepare, *Prepare.model_fields, of=f"of side {letter} alone", panel=EACH
        )
    ),
    *options_of(Activations, "dtype", panel=LAYERS),
    *(
        option.replace(default=CENTRING) if option.name == "centring" else option
        for option in options_of(Consistency, *FIT, panel=G)
    ),
    *options_of(Optimiser, "epochs", panel=G),
)
def compare_command(
    *,
    out: Annotated[
        Path,
        typer.Option(
            help="output folder; an interrupted run continues there", rich_help_panel=COMPARED
        ),
    ],
    device: Annotated[str, DEVICE] = "auto",
    threads: Annotated[int, typer.Option(help=THREADS, rich_help_panel=RUN)] = 1,
    rank: Annotated[str, typer.Option(help=RANK, rich_help_panel=G)] = "auto",
    models: Annotated[str | None, typer.Option(help=MODELS, rich_help_panel=MANY)] = None,
    layer: Annotated[str | None, typer.Option(help=LAYER_OF_MODELS, rich_help_panel=MANY)] = None,
    references: Annotated[bool, typer.Option(help=REFERENCES, rich_help_panel=MANY)] = True,
    **given: Any,
) -> None:
    """Compare layers of two of your own networks: what of each does the other not explain?

    Each layer is reconstructed from the other on training images; what is missed of it on test
    images is the fraction of variance unexplained. OUT/index.html shows all that is found;
    OUT/tables and OUT/figures hold it. Several layers (`--layers`, or lists in `--layer-a`,
    `--layer-b`) are compared each with each, and so are many models (`--models`): g is fitted to
    these only with `--fits`.
    """
    from kc.comparison import CompareSettings
    from kc.comparison.make import make, make_models
    from kc.comparison.workplace import Workplace
    from kc.report.tables import read_table
    from kc.runtime import keep_freed_memory, use_threads

    use_threads(threads)
    Workplace.of(CompareSettings(), out, device)  # before any file is read
    keep_freed_memory()
    if models is None:
        missing = next((name for name in SIDES if given[name] is None), None)
        if missing is not None:
            raise SettingsError(f"--{missing}: missing. Fix: --a and --b, or --models A,B,C")
    sides = {
        f"prepare_{letter}": {name: given[f"{name}_{letter}"] for name in Prepare.model_fields}
        for letter in "ab"
    }
    look: Pair | Models
    if models is None:
        look = settings_of(Pair, {name: given[name] for name in PLAIN} | sides)
    else:
        look = _many(models, layer, references, given)
    optimiser = {"epochs": given["epochs"]}
    settings = CompareSettings.of(
        look,
        activations=settings_of(Activations, {"dtype": given["dtype"]}),
        consistency=settings_of(
            Consistency,
            {name: given[name] for name in FIT} | {"rank": rank, "optimiser": optimiser},
        ),
    )
    if isinstance(look, Models):
        made, tables = make_models(look, settings, out, device, announce), ["nearest"]
    else:
        made = make(look, settings, out, device, announce)
        asked = {"compare": True, "matrix": True, "ladder": look.ladder, "classes": look.labels}
        tables = [name for name in look.tables() if asked.get(name)]
    echo(made.answer)
    for name in tables:
        table = out / "tables" / name
        show_table(read_table(table)["shown"], table.with_suffix(".csv"))
    echo(f"page: {made.page}")


def _many(models: str, layer: str | None, references: bool, given: Mapping[str, Any]) -> Models:
    """Read the settings of many models; refuse options that are those of a pair.

    Raises
    ------
    SettingsError
        A value is invalid, or an option is of a pair.
    """
    shared = {name for name in PLAIN if name in Models.model_fields}
    usual = {name: field.get_default() for name, field in Pair.model_fields.items()}
    told = {*PLAIN} - shared
    told |= {f"{name}_{letter}" for name in Prepare.model_fields for letter in "ab"}
    for name in sorted(told):
        if given[name] not in (None, False, usual.get(name)):
            raise SettingsError(
                f"--{name.replace('_', '-')}: is of a pair; with --models expected --layer and the "
                "options of both sides"
            )
    own = {"models": tuple(one.strip() for one in models.split(",") if one.strip())}
    return settings_of(
        Models,
        {name: given[name] for name in shared} | own | {"layer": layer, "references": references},
    )
