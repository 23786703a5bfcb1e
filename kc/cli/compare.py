"""``kc compare`` and ``kc layers``: compare your own networks or features."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from kc.cli.options import options_of, settings_of, with_options
from kc.cli.terminal import echo
from kc.errors import SettingsError
from kc.settings.custom import (
    CENTRING,
    LAYOUT,
    NETWORK,
    REMOTE,
    TAP,
    WEIGHTS,
    Listing,
    Look,
    Pair,
)
from kc.settings.feature_maps import Activations
from kc.settings.models import Models
from kc.settings.preparation import Prepare
from kc.settings.reconstruction import Consistency, Optimiser

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
    tap: Annotated[str, typer.Option(help=f"{TAP} (auto, graph, hooks)")] = "auto",
    layout: Annotated[str, typer.Option(help=f"{LAYOUT} (auto, nchw, nhwc)")] = "auto",
) -> None:
    """List the layers of a network that can be compared, with the shape of one image's feature.

    Shapes are those that are stored: tokens x units, or channels x y x x. Weights that a name
    tells are not loaded.
    """
    from kc.comparison import outline, read_network
    from kc.comparison.layers import listed
    from kc.runtime import use_threads

    use_threads(1)
    chosen = settings_of(Listing, {"tap": tap, "layout": layout})
    if weights is None:
        found = outline(network, remote_code, size)
    else:
        found = read_network(network, weights)
    own = found.prepared.size if found.prepared else 224
    for layer in listed(replace(found, layout=chosen.layout), size or own, chosen.tap):
        echo(f"{layer.name}  {' x '.join(map(str, layer.shape))}{READ[layer.read]}")


@with_options(
    *(
        option.replace(default=None, annotation=option.annotation | None)
        if option.name in SIDES
        else option
        for option in options_of(Pair, *sorted(PLAIN, key=Look.model_fields.__contains__))
    ),
    *(
        option.replace(name=f"{option.name}_{letter}")
        for letter in "ab"
        for option in options_of(Prepare, *Prepare.model_fields, of=f"of side {letter} alone")
    ),
    *options_of(Activations, "dtype"),
    *(
        option.replace(default=CENTRING) if option.name == "centring" else option
        for option in options_of(Consistency, *FIT)
    ),
    *options_of(Optimiser, "epochs"),
)
def compare_command(
    *,
    out: Annotated[Path, typer.Option(help="output folder; an interrupted run continues there")],
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, or mps")] = "auto",
    threads: Annotated[int, typer.Option(help=THREADS)] = 1,
    rank: Annotated[str, typer.Option(help=RANK)] = "auto",
    models: Annotated[str | None, typer.Option(help=MODELS)] = None,
    layer: Annotated[str | None, typer.Option(help=LAYER_OF_MODELS)] = None,
    references: Annotated[bool, typer.Option(help=REFERENCES)] = True,
    **given: Any,
) -> None:
    """Compare layers of two of your own networks: what of each does the other not explain?

    Reconstruct each layer from the other on training images and write, for test images, the
    fraction of variance unexplained: OUT/tables/compare.* and, for maps, OUT/figures/*. With
    --labels, by class: OUT/tables/classes.*. With
    --layers (or several names in --layer-a, --layer-b): measures of every pair, g only with --fits,
    OUT/tables/matrix.*, OUT/figures/matrix.*. With --models: each of many models with each other,
    OUT/tables/models.*, OUT/tables/nearest.*, OUT/figures/models.*.
    """
    from kc.comparison import CompareSettings
    from kc.comparison.make import make, make_models
    from kc.comparison.workplace import Workplace
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
    say = partial(echo, err=True)
    if isinstance(look, Models):
        page, tables = make_models(look, settings, out, device, say), ["nearest"]
    else:
        page, tables = make(look, settings, out, device, say), look.tables()
    for table in tables:
        echo((out / "tables" / f"{table}.md").read_text(encoding="utf-8"))
    echo(f"page: {page}")


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
