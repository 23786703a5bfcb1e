"""``kc compare`` and ``kc layers``: your own networks, your own features."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from kc.errors import SettingsError
from kc.runtime import keep_freed_memory
from kc.settings.custom import Colours, Pair
from kc.settings.feature_maps import Activations
from kc.settings.reconstruction import Consistency
from kc.settings.sections import Section, shown

if TYPE_CHECKING:
    from kc.comparison import CompareSettings

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


def add_commands(app: typer.Typer, clear: Callable[..., Any]) -> None:
    """Add the commands; ``clear`` turns an error of the user's into one message."""
    app.command("compare")(clear(compare_command))
    app.command("layers")(clear(layers_command))


def layers_command(
    network: Annotated[str, typer.Argument(help=SPEC)],
    weights: Weights = None,
    size: Annotated[int, typer.Option(min=1, max=2048, help="side of the pictures, px")] = 224,
) -> None:
    """List the layers of a network that can be compared, with the shape of one image's feature."""
    from kc.comparison import layers_of, read_network
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
    labels: Annotated[
        bool,
        typer.Option("--labels", help="pictures lie in class folders: also by class"),
    ] = False,
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
    --labels, by class: OUT/tables/classes.*. With
    --layers (or several names in --layer-a, --layer-b): OUT/tables/matrix.*, OUT/figures/matrix.*.
    """
    from kc.comparison.make import make
    from kc.report.tables import read_markdown
    from kc.runtime import use_threads

    use_threads(1)
    keep_freed_memory()
    pair = _checked(
        Pair,
        {"a": a, "b": b, "images": images, "weights_a": weights_a, "weights_b": weights_b}
        | {"layer_a": _choice(layer_a), "layer_b": _choice(layer_b), "layers": _choice(layers)}
        | {"ids_a": ids_a, "ids_b": ids_b, "size": size, "mean": mean, "std": std, "seed": seed}
        | {"tokens": tokens, "align": align, "labels": labels},
    )
    settings = _settings(pair, order, epochs, dtype)
    page = make(pair, settings, out, device, partial(typer.echo, err=True))
    for file in pair.outputs():
        if file.endswith(".md"):
            typer.echo(read_markdown(out / file.removesuffix(".md")))
    typer.echo(f"page: {page}")


def _choice(given: str | None) -> str | tuple[str, ...] | None:
    """Read a layer, several with commas between, or ``all``."""
    if given is None or "," not in given:
        return given
    return tuple(name.strip() for name in given.split(",") if name.strip())


def _settings(pair: Pair, order: int, epochs: int | None, dtype: str) -> "CompareSettings":
    """Complete what was asked for; what is not given keeps its default.

    Raises
    ------
    SettingsError
        An option that cannot be so.
    """
    from kc.comparison import CompareSettings

    optimiser = {} if epochs is None else {"epochs": epochs}
    return CompareSettings.of(
        pair,
        activations=_checked(Activations, {"dtype": dtype}),
        consistency=_checked(Consistency, {"order": order, "optimiser": optimiser}),
    )


def _checked[S: Section](section: type[S], given: Mapping[str, Any]) -> S:
    """Turn options into settings; a fault is one of an option."""
    try:
        return section.model_validate(given)
    except ValidationError as error:
        fault = error.errors()[0]
        names = [part for part in fault["loc"] if isinstance(part, str)]
        where = f"--{names[-1].replace('_', '-')}: " if names else ""
        told = fault["type"] == "value_error"  # says itself what it got
        got = f" (got {shown(fault['input'])})" if names and not told else ""
        message = fault["msg"].removeprefix("Value error, ")
        raise SettingsError(f"{where}{message}{got}") from None
