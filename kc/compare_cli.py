"""``kc compare`` and ``kc layers``: your own networks, your own features."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from kc.own import CompareSettings, OwnArrays, OwnNetwork

SPEC = (
    "a torchvision or timm name (resnet18), or path/file.py:function, called without arguments, "
    "whose file is run"
)
WEIGHTS = "its state dict (.pt, .pth, .th, .safetensors)"
Spec = Annotated[str, typer.Option(help=f"{SPEC}; or features: FILE.npy, FILE.zarr, FILE.h5:NAME")]
Weights = Annotated[Path | None, typer.Option(help=WEIGHTS)]
Node = Annotated[
    str | None,
    typer.Option(help="node of its graph, as 'kc layers' lists them, or array of a file"),
]
Ids = Annotated[
    Path | None, typer.Option(help="ids of the rows of features, one a line, where they have any")
]
Colours = tuple[float, float, float]


def add_commands(app: typer.Typer, clear: Callable[..., Any]) -> None:
    """Add the commands; ``clear`` turns an error of the user's into one message."""
    app.command("compare")(clear(compare_command))
    app.command("layers")(clear(layers_command))


def layers_command(
    network: Annotated[str, typer.Argument(help=SPEC)],
    weights: Weights = None,
    size: Annotated[int, typer.Option(min=1, help="side of the pictures, px")] = 224,
) -> None:
    """List the layers of a network that can be compared, with the shape of one image's feature."""
    from kc.own import layers_of, read_network
    from kc.runtime import use_threads

    use_threads(1)
    for name, shape in layers_of(read_network(network, weights), size):
        typer.echo(f"{name}  {' x '.join(map(str, shape))}")


def compare_command(
    a: Spec,
    b: Spec,
    out: Annotated[Path, typer.Option(help="folder of all that is made; a killed run goes on")],
    layer_a: Node = None,
    layer_b: Node = None,
    layers: Annotated[
        str | None,
        typer.Option(help="of both: all, or names with commas: every one against every other one"),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(help="folder (or tar) of pictures, in class folders or not"),
    ] = None,
    weights_a: Weights = None,
    weights_b: Weights = None,
    ids_a: Ids = None,
    ids_b: Ids = None,
    size: Annotated[int, typer.Option(help="side pictures are resized to, px")] = 64,
    order: Annotated[int, typer.Option(help="K, non-linear layers of g")] = 2,
    epochs: Annotated[int | None, typer.Option(help="of each fit; none: the default's")] = None,
    tokens: Annotated[str, typer.Option(help="of a transformer: all, patches or class")] = "all",
    align: Annotated[
        str,
        typer.Option(
            help="layers of different kinds: pool (means over positions and tokens), grid (tokens "
            "on their grid), auto (grid where both have one)"
        ),
    ] = "auto",
    mean: Annotated[Colours | None, typer.Option(help="of each colour; none: ImageNet's")] = None,
    std: Annotated[Colours | None, typer.Option(help="of each colour; none: ImageNet's")] = None,
    dtype: Annotated[str, typer.Option(help="features are stored as")] = "float16",
    seed: Annotated[int, typer.Option(help="of split, fits and weights nobody gave")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
) -> None:
    """Compare layers of two networks of your own: what of each does the other not know?

    Reconstructs each layer from the other on training images and writes, for test images, which
    share of its variance is missing: OUT/tables/compare.* and, for maps, OUT/figures/*. With
    --layers (or several names in --layer-a, --layer-b): OUT/tables/matrix.*, OUT/figures/matrix.*.
    """
    from kc.own import compare, compare_layers
    from kc.report.comparison import write_comparison
    from kc.report.matrix import write_matrix
    from kc.runtime import use_threads

    use_threads(1)
    about: dict[str, Any] = {
        "size": size,
        "order": order,
        "epochs": epochs,
        "mean": mean,
        "std": std,
    }
    about |= {"mean": mean, "std": std, "tokens": tokens, "align": align}
    about |= {"dtype": dtype, "seed": seed}
    settings = _settings(about)
    # with one seed for both, two untrained networks of a name would be one
    first, second = _side(a, weights_a, ids_a, seed), _side(b, weights_b, ids_b, seed + 1)
    of_a, of_b = _choice(layers or layer_a), _choice(layers or layer_b)
    if layers or any(choice == "all" or isinstance(choice, list) for choice in (of_a, of_b)):
        say = partial(typer.echo, err=True)
        matrix = compare_layers(first, second, of_a, of_b, images, out, settings, device, say)
        write_matrix(matrix, out)
        made = ["matrix"]
    else:
        found = compare(first, second, layer_a, layer_b, images, out, settings, device)
        write_comparison(found, out)
        made = ["compare", "peers"]
    _show(out, made)


def _show(out: Path, tables: list[str]) -> None:
    """Print the tables, and where everything is."""
    from kc.report.tables import read_markdown

    for name in tables:
        typer.echo(read_markdown(out / "tables" / name))
    for made in ("tables", "figures"):
        if (out / made).is_dir():
            typer.echo(f"{made}: {out / made}")


def _side(spec: str, weights: Path | None, ids: Path | None, seed: int) -> "OwnNetwork | OwnArrays":
    from kc.errors import SettingsError
    from kc.own import is_arrays, read_arrays, read_network

    if not is_arrays(spec):
        if ids is not None:
            raise SettingsError(f"--ids {ids}: '{spec}' is a network; ids are for features' rows.")
        return read_network(spec, weights, seed)
    if weights is not None:
        raise SettingsError(f"--weights {weights}: '{spec}' holds features, not a network.")
    return read_arrays(spec, ids)


def _choice(given: str | None) -> str | list[str] | None:
    """Read a layer, several with commas between, or ``all``."""
    if given is None or "," not in given:
        return given
    return [name.strip() for name in given.split(",") if name.strip()]


def _settings(given: dict[str, Any]) -> "CompareSettings":
    """Turn options into settings; what is not given keeps its default.

    Raises
    ------
    SettingsError
        An option that cannot be so.
    """
    from pydantic import ValidationError

    from kc.errors import SettingsError
    from kc.own import CompareSettings

    optimiser = {} if given["epochs"] is None else {"epochs": given["epochs"]}
    about = {name: given[name] for name in ("size", "mean", "std", "seed", "tokens", "align")}
    try:
        return CompareSettings.model_validate(
            {name: value for name, value in about.items() if value is not None}
            | {
                "activations": {"dtype": given["dtype"]},
                "consistency": {"order": given["order"], "optimiser": optimiser},
            }
        )
    except ValidationError as error:
        fault = error.errors()[0]
        where = [part for part in fault["loc"] if isinstance(part, str)][-1]
        raise SettingsError(f"--{where}: {fault['msg']} (got {fault['input']!r})") from None
