"""Write figures as files, and define their common style."""

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
"""Fixed salt and matplotlib's own font: an SVG has the same bytes on every machine."""


def literal(text: str) -> str:
    r"""Escape a user's text so that matplotlib shows it literally.

    Dollars would begin a formula; characters that the font lacks (control characters, single
    surrogates, Chinese) become its replacement character.

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
    """Write ``stem``.png and .svg atomically, with the same bytes for the same figure."""
    # a figure with this name in it is expected to have a note in kc-made/
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
