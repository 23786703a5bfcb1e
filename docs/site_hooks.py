"""Hooks of the site: roles of reStructuredText in docstrings become plain names."""

import re
from typing import Any


def on_page_content(html: str, **_: Any) -> str:
    """Remove ``:func:`` and its like before a name."""
    return re.sub(r":(?:func|class|mod|data|meth|attr):(?=<code>)", "", html)
