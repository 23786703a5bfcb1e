"""``kc explain``: follow a table back to the images, and say how to fix what changed."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from kc.cli.options import Base, OverNetwork
from kc.errors import printable
from kc.plans.commands import remake

STYLES = {"ok": "green", "missing": "bold red", "changed": "bold red", "stale": "bold yellow"}


def explain_command(
    table: Annotated[
        Path,
        typer.Argument(help="a table, also of kc compare, e.g. results/tables/table1.csv"),
    ],
    quick: Annotated[
        bool, typer.Option("--quick", help="compare recorded digests only; read no files again")
    ] = False,
    base: Base = Path("config.yaml"),
    network: OverNetwork = False,
) -> None:
    """Show what a table was made from, back to the images, and whether these files still exist.

    missing: not there; changed: not the bytes that were written; stale: made from something that
    was made again since. Exit with 1 if any link does not hold.
    """
    from rich.console import Console

    from kc.cli.chain import chain, is_of_study, read_origin
    from kc.cli.run_options import run_options
    from kc.plans.commands import fix_at
    from kc.store.network import over_network

    with over_network(network):
        found = chain(table, quick)
    origin = read_origin(table)
    # piped output is not wrapped
    width = None if sys.stdout.isatty() else 1 << 12
    console = Console(highlight=False, markup=False, emoji=False, width=width)
    console.print(_tree(found))
    for line in _about(origin):
        console.print(printable(line))
    faults = found.faults()
    if not faults:
        console.print("every link holds", style="green")
        return
    console.print(f"links that do not hold: {len(faults)}. To fix, in this order:", style="bold")
    options = run_options(origin, table, base) if is_of_study(origin) else ()
    targets = {fault.target: None for fault in faults if fault.target} | {found.target: None}
    for target in filter(None, targets):
        console.print(printable(f"  {remake(target, options or ())}"))
    if is_of_study(origin):
        for fault in faults:
            if not fault.target:
                console.print(printable(f"  by hand: {fault.name}: {fault.told}"))
    else:
        console.print(printable(f"  {fix_at(table)}"))
    if options is None:
        console.print(
            "each with the --configfile and --config the table was made with: neither config.yaml "
            "alone nor a preset of workflow/presets gives the settings it records"
        )
    raise typer.Exit(1)


def _about(origin: Mapping[str, Any]) -> list[str]:
    """Format versions, devices and wall time."""
    versions = ", ".join(f"{name} {value}" for name, value in origin["versions"].items())
    if "seconds" not in origin:
        where = [f"on {origin['device']}"] if "device" in origin else []
        return [f"made with {versions}", *where]
    seconds = ", ".join(f"{name} {value:g} s" for name, value in origin["seconds"].items())
    return [f"made with {versions}", f"on {', '.join(origin['devices'])}; wall time: {seconds}"]


def _tree(link: Any) -> Any:
    from rich.text import Text
    from rich.tree import Tree

    def label(one: Any) -> Text:
        text = Text(f"{one.stage} ", style="dim")
        text.append(printable(one.name), style="default")
        text.append(f"  {one.state}", style=STYLES[one.state])
        if not one.shown_above:
            return text.append(printable(f"  {one.told}"), style="dim")
        return text.append("  (above)", style="dim")

    def grow(tree: Any, one: Any) -> None:
        for inner in one.links:
            grow(tree.add(label(inner)), inner)

    tree = Tree(label(link))
    grow(tree, link)
    return tree
