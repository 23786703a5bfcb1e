"""``kc docs``: the pages of the documentation, which come with kc."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from kc.cli.terminal import console, echo
from kc.errors import KCError

PAGES = Path(__file__).parent / "pages"
"""A link in a checkout, files in an installed package."""


def docs_command(
    page: Annotated[str | None, typer.Argument(help="a page; default: list them")] = None,
) -> None:
    """Show a page of the documentation."""
    found = {path.stem: path for path in sorted(PAGES.glob("*.md"))}
    if page is None:
        for name, path in found.items():
            title = path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
            echo(f"{name}: {title}")
        return
    name = Path(page).stem
    if name not in found:
        raise KCError(f"no page '{page}'; there are {', '.join(found)}.")
    text = found[name].read_text(encoding="utf-8")
    if not sys.stdout.isatty():
        echo(text, nl=False)
        return
    from rich.markdown import Markdown

    console().print(Markdown(text))
