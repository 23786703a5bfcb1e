"""``kc store`` and ``kc images``: describe and check stores."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kc.cli.options import AsJson, OverNetwork, StorePath
from kc.cli.terminal import echo, echo_json
from kc.errors import KCError
from kc.names import spell_bytes

if TYPE_CHECKING:
    from kc.store import StoredArray


def store_info(
    path: StorePath,
    row: Annotated[int | None, typer.Option(help="describe the image of this row")] = None,
    network: OverNetwork = False,
    as_json: AsJson = False,
) -> None:
    """Describe a store: its arrays, what it was made from, or the image of a row."""
    from kc.store import open_store

    opened = open_store(path, network)
    if row is not None:
        if not 0 <= row < len(opened.rows):
            raise KCError(f"{path}: no row {row}; there are rows 0 to {len(opened.rows) - 1}.")
        about = opened.rows.iloc[row]
        if as_json:
            echo_json(json.loads(about.to_json()))
            return
        for name in ["image_id", *about.index.drop("image_id")]:
            echo(f"{name}: {about[name]}")
        return
    sizes = {
        name: sum(shard["bytes"] for shard in opened.manifest["arrays"][name]["shards"])
        for name in opened.names
    }
    if as_json:
        echo_json(
            {
                "path": str(opened.path),
                "images": len(opened.rows),
                "digest": opened.digest,
                "arrays": [_described(opened[name], sizes[name]) for name in opened.names],
                "attributes": dict(opened.attributes),
            }
        )
        return
    echo(f"{opened.path}: {len(opened.rows)} images, digest {opened.digest}")
    for name, size in sizes.items():
        array = opened[name]
        shape = " x ".join(map(str, array.shape))
        dims = ", ".join(array.dims)
        shards = f"{array.shards} shards of {array.shard_rows} images, {spell_bytes(float(size))}"
        echo(f"  {name}: {shape} ({dims}) {array.kc_dtype}, {shards}")
    for name, value in opened.attributes.items():
        echo(f"  {name}: {json.dumps(value) if not isinstance(value, str) else value}")


def _described(array: "StoredArray", size: int) -> dict[str, Any]:
    return {
        "name": array.name,
        "shape": array.shape,
        "dims": array.dims,
        "dtype": array.kc_dtype,
        "shards": array.shards,
        "images_per_shard": array.shard_rows,
        "bytes": size,
    }


def store_verify(
    path: Annotated[Path, typer.Argument(help="a store, or folder of a fit, network or results")],
    sources: Annotated[
        bool,
        typer.Option("--sources", help="also read archives, pictures and features again"),
    ] = False,
    network: OverNetwork = False,
    as_json: AsJson = False,
) -> None:
    """Check every file; print one line per damage, and exit with 1 if there is any.

    Stores in a bucket are checked if their address is given, or with --network.
    """
    from kc.store.network import over_network
    from kc.store.source_check import moved_sources
    from kc.store.verify import damages_under

    with over_network(network):
        damages = damages_under(path)
    damages += moved_sources(path) if sources else []
    if as_json:
        echo_json({"path": str(path), "damages": damages})
    else:
        for damage in damages:
            echo(damage, err=True)
    if damages:
        raise typer.Exit(1)
    if not as_json:
        echo(f"{path}: undamaged")


def images_info(path: StorePath, network: OverNetwork = False, as_json: AsJson = False) -> None:
    """Count the images of a store by class and subset, and the files that were skipped."""
    from kc.datasets.folder import spell_passed
    from kc.images import open_images
    from kc.store.network import over_network

    with over_network(network):
        store = open_images(path)
    rows = store.rows
    counts = rows.groupby(["label", "class_name", "subset"]).size().unstack(fill_value=0)
    if as_json:
        echo_json(
            {
                "path": str(path),
                "images": len(rows),
                "classes": json.loads(counts.reset_index().to_json(orient="records")),
                "passed_over": dict(store.passed_over),
            }
        )
        return
    echo(counts.reset_index().to_string(index=False))
    subsets = ", ".join(f"{n} {name}" for name, n in rows["subset"].value_counts().items())
    echo(f"{path}: {len(rows)} images of {rows['label'].nunique()} classes: {subsets}")
    if store.passed_over:
        echo(f"passed over: {spell_passed(store.passed_over)}")
