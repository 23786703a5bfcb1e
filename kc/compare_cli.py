"""``kc compare`` and ``kc layers``: your own networks, and what of a comparison people look at."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from kc.own import CompareSettings, Comparison

SPEC = (
    "a torchvision or timm name (resnet18), or path/file.py:function, called without arguments, "
    "whose file is run"
)
WEIGHTS = "its state dict (.pt, .pth, .th, .safetensors)"
Spec = Annotated[str, typer.Option(help=SPEC)]
Weights = Annotated[Path | None, typer.Option(help=WEIGHTS)]
Node = Annotated[str, typer.Option(help="node of its graph, as 'kc layers' lists them")]
Colours = tuple[float, float, float]

LOOKED_AT = 2**24
"""Values of one component that filters and images of a picture are chosen from, at most."""
FILTERS, IMAGES = 4, 3
"""Filters of a picture, and images of each."""


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
    layer_a: Node,
    layer_b: Node,
    images: Annotated[
        Path, typer.Option(help="folder (or tar) of pictures, in class folders or not")
    ],
    out: Annotated[Path, typer.Option(help="folder of all that is made; a killed run goes on")],
    weights_a: Weights = None,
    weights_b: Weights = None,
    size: Annotated[int, typer.Option(help="side pictures are resized to, px")] = 64,
    order: Annotated[int, typer.Option(help="K, non-linear layers of g")] = 2,
    epochs: Annotated[int | None, typer.Option(help="of each fit; none: the default's")] = None,
    mean: Annotated[Colours | None, typer.Option(help="of each colour; none: ImageNet's")] = None,
    std: Annotated[Colours | None, typer.Option(help="of each colour; none: ImageNet's")] = None,
    dtype: Annotated[str, typer.Option(help="features are stored as")] = "float16",
    seed: Annotated[int, typer.Option(help="of split, fits and weights nobody gave")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
) -> None:
    """Compare a layer of two networks of your own: what of each does the other not know?

    Reconstructs each layer from the other on training images and writes, for test images, which
    share of its variance is missing: OUT/tables/compare.* and, for maps, OUT/figures/*.
    """
    from kc.own import compare, read_network
    from kc.report.tables import read_markdown
    from kc.runtime import use_threads

    use_threads(1)
    about = {"size": size, "order": order, "epochs": epochs, "mean": mean, "std": std}
    settings = _settings(about | {"dtype": dtype, "seed": seed})
    # with one seed for both, two untrained networks of a name would be one
    first, second = read_network(a, weights_a, seed), read_network(b, weights_b, seed + 1)
    found = compare(first, second, layer_a, layer_b, images, out, settings, device)
    write_report(found, out)
    typer.echo(read_markdown(out / "tables" / "compare"))
    for made in ("tables", "figures"):
        if (out / made).is_dir():
            typer.echo(f"{made}: {out / made}")


def write_report(found: "Comparison", out: Path) -> None:
    """Write the table (csv, md, tex, json) and a picture of each direction (png, svg)."""
    from kc.report.figures import write_figure
    from kc.report.tables import Column, write_table

    shares = {name: Column(name, ".3f") for name in map(str, found.shares)}
    write_table(
        found.shares,
        out / "tables" / "compare",
        title="What one layer knows of the other",
        caption=_sentence(found),
        notes=found.notes,
        provenance=found.provenance,
        columns=shares
        | {
            "xdelta": Column("xdelta: share the source does not give", ".3f"),
            "positions_per_weight": Column("positions per weight of g", ".1f"),
        },
    )
    for name, store in found.components.items():
        write_figure(_figure(found, name, store), out / "figures" / name)


def _sentence(found: "Comparison") -> str:
    """Say the two held-out shares in words."""
    held = found.shares[found.shares["subset"] == "test"]
    parts = [
        f"{100 * share:.1f} % of the variance of {target}'s layer cannot be had from {source}'s"
        for target, source, share in zip(
            held["target"], held["source"], held["xdelta"], strict=True
        )
    ]
    return f"On test images, {'; '.join(parts)}."


def _figure(found: "Comparison", name: str, path: Path) -> "Figure":
    """Draw the filters of the target that have the largest share of what the source lacks."""
    import numpy as np

    from kc.report.pictures import CHOICE, SCALE, Panel, choose_filters, choose_images, feature_maps
    from kc.store import open_store

    store = open_store(path)
    array = store["component"]
    each = int(np.prod(array.shape[2:]))
    values = array[: max(1, min(len(array), LOOKED_AT // each))].astype(np.float32)
    parts, delta, whole = values[:-1], values[-1], values.sum(0)
    chosen = choose_filters(whole, delta, min(FILTERS, _live(whole)))
    shown_of = min(IMAGES, len(delta))
    rows = np.concatenate([choose_images(delta, int(c), shown_of) for c in chosen])
    filters = np.repeat(chosen, shown_of)
    panels = {"x*": whole}
    panels |= {f"x$^{{({k})}}$": part for k, part in enumerate(parts)}
    panels |= {r"x$^\Delta$": delta}
    ids = store.rows["image_id"].to_numpy()[rows]
    at = {image_id: row for row, image_id in enumerate(found.images.image_ids)}
    target, _, source = name.partition("-from-")
    layers = found.provenance["networks"]
    return feature_maps(
        np.stack([found.images["image"][at[image_id]] for image_id in ids]),
        [Panel(title, maps[rows, filters]) for title, maps in panels.items()],
        [f"filter {c} {image_id}" for c, image_id in zip(filters, ids, strict=True)],
        filters,
        caption=f"x^Delta: what {target} has and {source} does not give. x*: "
        f"{layers[target]['layer']} of {layers[target]['name']}; x: {layers[source]['layer']} of "
        f"{layers[source]['name']}; test images. {CHOICE} {SCALE}",
    )


def _live(whole: "np.ndarray") -> int:
    """Count the channels that vary enough to be shown."""
    import numpy as np

    from kc.report.pictures import WEAK

    variances = whole.astype(np.float64).var((0, 2, 3))
    return int(((variances > 0) & (variances >= WEAK * np.median(variances))).sum())


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
    about = {name: given[name] for name in ("size", "mean", "std", "seed")}
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
