"""``kc explain``: follow a table back to the images, and say how to fix what changed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from kc.cli.options import AsJson, Base, OverNetwork
from kc.cli.terminal import console, echo_json
from kc.errors import printable
from kc.plans.commands import remake
from kc.settings.presets import DEFAULT_FILE

STYLES = {"ok": "green", "missing": "bold red", "changed": "bold red", "stale": "bold yellow"}


def explain_command(
    table: Annotated[
        Path,
        typer.Argument(help="a table, also of kc compare, e.g. results/tables/table1.csv"),
    ],
    quick: Annotated[
        bool, typer.Option("--quick", help="compare recorded digests only; read no files again")
    ] = False,
    base: Base = DEFAULT_FILE,
    network: OverNetwork = False,
    as_json: AsJson = False,
) -> None:
    """Show what a table was made from, back to the images, and whether these files still exist.

    missing: not there; changed: not the bytes that were written; stale: made from something that
    was made again since. Exit with 1 if any link does not hold.
    """
    from kc.cli.chain import chain, is_of_study, read_origin
    from kc.cli.run_options import run_options
    from kc.plans.commands import fix_at
    from kc.store.network import over_network

    with over_network(network):
        found = chain(table, quick)
    origin = read_origin(table)
    faults = found.faults()
    options = run_options(origin, table, base) if faults and is_of_study(origin) else ()
    # the table last, after all it is made from
    targets = dict.fromkeys([*(fault.target for fault in faults), found.target] if faults else [])
    fixes = [remake(target, options or ()) for target in filter(None, targets)]
    by_hand = [fault for fault in faults if not fault.target] if is_of_study(origin) else []
    if faults and not is_of_study(origin):
        fixes.append(fix_at(table))
    if as_json:
        about = {name: origin[name] for name in ("versions", "device", "devices", "seconds")
                 if name in origin}  # fmt: skip
        echo_json({"chain": _as_json(found), "faults": len(faults), "fixes": fixes} | about)
    else:
        out = console()
        out.print(_tree(found))
        for line in _about(origin):
            out.print(printable(line))
        if not faults:
            out.print("every link holds", style="green")
            return
        out.print(f"links that do not hold: {len(faults)}. To fix, in this order:", style="bold")
        for fix in fixes:
            out.print(printable(f"  {fix}"))
        for fault in by_hand:
            out.print(printable(f"  by hand: {fault.name}: {fault.told}"))
        if options is None:
            out.print(
                "each with the --configfile and --config the table was made with: neither "
                "config.yaml alone nor a preset of workflow/presets gives the settings it records"
            )
    if faults:
        raise typer.Exit(1)


def _as_json(link: Any) -> dict[str, Any]:
    """Return a link and all it was made from; one that is shown above has no links here."""
    about = {name: getattr(link, name) for name in ("stage", "name", "state", "digest", "told")}
    return about | {"links": [_as_json(inner) for inner in link.links]}


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
