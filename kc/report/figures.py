"""Figures as files, and the style they share."""

from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
import xxhash
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font

from kc.store.files import write_bytes_atomic
from kc.store.register import note_made

STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "svg.hashsalt": "kc",
    "svg.fonttype": "path",
    "text.usetex": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
}
"""The salt and the font that comes with matplotlib make an SVG the same wherever it is drawn."""


def literal(text: str) -> str:
    r"""Return a text of the user's as matplotlib shows it as it is.

    Dollars would begin a formula; what the font has no glyph for (control characters, halves of
    pairs, Chinese) is shown as its replacement character.

    >>> literal("sale_$5_or_$6")
    'sale_\\$5_or_\\$6'
    """
    glyphs = _glyphs()
    seen = "".join(
        one if one.isprintable() and ord(one) in glyphs else "\N{REPLACEMENT CHARACTER}"
        for one in text
    )
    return seen.replace("$", r"\$")


@cache
def _glyphs() -> frozenset[int]:
    return frozenset(get_font(findfont(STYLE["font.family"])).get_charmap())


def write_figure(figure: Figure, stem: Path) -> None:
    """Write ``stem``.png and .svg, each whole or not at all, the same bytes for the same figure."""
    # by its maker a figure is known as one that has to be noted
    metadata: dict[str, dict[str, Any]] = {
        "png": {"Software": "kc"},
        "svg": {"Date": None, "Creator": "kc"},
    }
    drawn: dict[Path, bytes] = {}
    with mpl.rc_context(STYLE):
        for kind, about in metadata.items():
            held = BytesIO()
            figure.savefig(held, format=kind, dpi=200, metadata=about)
            drawn[stem.with_name(f"{stem.name}.{kind}")] = held.getvalue()
    digests = {path.name: xxhash.xxh3_128_hexdigest(content) for path, content in drawn.items()}
    note_made(stem, {"files": digests})
    for path, content in drawn.items():
        write_bytes_atomic(path, content)
