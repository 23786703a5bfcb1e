"""Format a sentence and tables as a piece of HTML for a notebook: no scripts, all text escaped."""

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from kc.errors import printable


def html_fragment(lead: str, tables: Sequence[Mapping[str, Any]]) -> str:
    """Return HTML of a sentence and of tables, as :func:`kc.report.tables.table_cells` gives."""
    environment = Environment(
        loader=PackageLoader("kc.report"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    template = environment.get_template("fragment.html")
    return template.render(lead=printable(lead), tables=tables)
