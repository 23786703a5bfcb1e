"""Write a page of tables, figures and a feature viewer that opens from disk, without a server.

It consists of ``index.html`` and ``index_files/`` and loads nothing else: the policy in the page's
head forbids it. The page holds no inline script or style, and one that came in (by a name, say)
would not run.
"""

import glob
import json
import shutil
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import xxhash
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from kc.errors import StoreError, printable
from kc.files.aside import sync
from kc.plans.commands import PAGE_FILES, fix_at
from kc.report.heat import HeatMap, write_heat
from kc.report.pictures import COLOURS
from kc.report.tables import read_table
from kc.report.viewer import Shown, View, write_index, write_view
from kc.store.files import file_digest, write_bytes_atomic
from kc.store.ownership import LEDGER, LITTER, claim, claimed, finished, refuse_strangers
from kc.store.register import note_made

FILES = PAGE_FILES
"""Folder of the page's other files; kc replaces those it wrote."""
ASSETS = ("page.css", "page.js", "viewer.js", "maps.js", "heat.js")
COPIED = ("csv", "json")
"""Files of each table that the page links to."""
VIEWED = ("views.js", "pictures-????????????.jpg")
"""Files of the viewer besides its scripts."""
OLDER = ("*.css", "*.js", "*.csv", "*.json", "*.png", "*.jpg")
"""Files of a page without a list of them (older kc), or with a damaged list."""
CONTENT = frozenset({"files", "shown", "claims"})
"""Entries of a table's ``.json`` that hold what it shows, not its origin."""
DEFAULT = Shown()


class Drawing(NamedTuple):
    """A figure of a page."""

    stem: Path
    """Path without suffix, as in :func:`kc.report.figures.write_figure`."""
    caption: str
    """What it shows; also the text for screen readers."""


class PageSection(NamedTuple):
    """Tables and figures under one heading."""

    name: str
    """Name in links: letters, digits, ``_`` and ``-``; unique on the page."""
    title: str
    about: str
    """One or two sentences under the title."""
    tables: Sequence[Path]
    """Paths without suffix, as in :func:`kc.report.tables.write_table`."""
    figures: Sequence[Drawing]
    """Those with the name of a table are shown above it."""
    details: Sequence[Path] = ()
    """Tables that are folded."""
    heats: Sequence[HeatMap] = ()
    """Heatmaps to explore, above the tables."""

    @property
    def written(self) -> list[Path]:
        """Return all tables, the folded ones last."""
        return [*self.tables, *self.details]

    @property
    def above(self) -> dict[str, Drawing]:
        """Return the figures that are shown above tables, by name."""
        names = {stem.name for stem in self.written}
        return {one.stem.name: one for one in self.figures if one.stem.name in names}


def write_page(
    folder: Path,
    *,
    title: str,
    lead: str,
    sections: Sequence[PageSection],
    views: Sequence[View],
    shown: Shown = DEFAULT,
) -> Path:
    """Write ``folder/index.html`` and ``folder/index_files/``; an older page's files are removed.

    The same inputs give the same bytes. The folder can be moved, and opens with a double click.

    Parameters
    ----------
    folder
        Created if missing; other files in it stay.
    title, lead
        Heading of the page, and one or two sentences under it: the answer, if there is one.
    sections
        Written tables (the ``.json`` of each is read) and figures (``.png``), in the page's order.
    views
        Fits of the feature viewer; if empty, the page has no viewer.
    shown
        Number of images and filters of each fit in the viewer.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    StoreError
        A table, component store or image store is missing or damaged; or ``index_files`` or
        ``index.html`` is not kc's.
    FeatureError
        Components cannot be shown.
    """
    files = folder / FILES
    refuse_strangers(folder, page_strangers(folder))
    tables = {stem: read_table(stem) for section in sections for stem in section.written}
    # an interrupted run must leave no incomplete page
    (folder / "index.html").unlink(missing_ok=True)
    _empty(files, _named(sections, views))
    for stem in tables:
        for suffix in COPIED:
            shutil.copyfile(stem.with_suffix(f".{suffix}"), files / f"{stem.name}.{suffix}")
    drawn = [drawing.stem for section in sections for drawing in section.figures]
    sizes = {stem.name: _copy_figure(stem, files) for stem in drawn}
    heats = [heat for section in sections for heat in section.heats]
    for heat in heats:
        write_heat(heat, files)
    entries = [write_view(view, files, shown) for view in views]
    if entries:
        write_index(entries, _colours(), files / "views.js")
    environment = Environment(
        loader=PackageLoader("kc.report"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=_seen,
    )  # fmt: skip
    environment.filters["spelled"] = _spelled
    for name in ASSETS:
        source = environment.loader.get_source(environment, name)[0]  # type: ignore[union-attr]
        (files / name).write_text(source, encoding="utf-8")
    text = environment.get_template("page.html").render(
        title=title,
        lead=lead,
        sections=sections,
        tables=tables,
        sizes=sizes,
        origins=_origins(tables),
        views=entries,
        heats=heats,
        files=FILES,
    )
    claim(files, {glob.escape(path.name) for path in files.iterdir()})
    page, content = folder / "index.html", text.encode()
    for path in (*files.iterdir(), files):
        sync(path)
    beside = {f"{FILES}/{path.name}": file_digest(path) for path in files.iterdir()}
    note_made(page, {"files": beside | {page.name: xxhash.xxh3_128_hexdigest(content)}})
    write_bytes_atomic(page, content)
    return page


def page_strangers(folder: Path) -> list[str]:
    """List the files in the place of a page that kc did not write as part of one."""
    files, page = folder / FILES, folder / "index.html"
    if files.is_symlink() or (files.exists() and not files.is_dir()):
        return [FILES]
    there = {path.name for path in files.iterdir()} if files.is_dir() else set()
    known = _known(files)
    strangers = [
        f"{FILES}/{name}"
        for name in sorted(there - LITTER)
        if finished(name) != LEDGER
        and ((files / name).is_dir() or not any(fnmatchcase(finished(name), k) for k in known))
    ]
    # a damaged page may lack the marks of kc
    is_page = (
        bool(known)
        or not page.exists()
        or (page.is_file() and f"{FILES}/".encode() in page.read_bytes())
    )
    return strangers if is_page else [*strangers, page.name]


def _known(files: Path) -> list[str]:
    """Return names or patterns of kc's files in the folder of a page's files."""
    known = claimed(files, OLDER)
    is_older = not (files / LEDGER).exists() and (files / ASSETS[0]).is_file()
    return list(OLDER) if is_older else known


def _named(sections: Sequence[PageSection], views: Sequence[View]) -> set[str]:
    """Return patterns of the names of all files that the page will have."""
    tables = {f"{stem.name}.{suffix}" for part in sections for stem in part.written
              for suffix in COPIED}  # fmt: skip
    drawn = {f"{drawing.stem.name}.png" for part in sections for drawing in part.figures}
    scripts = {f"{glob.escape(view.name)}*.js" for view in views}
    scripts |= {f"{heat.script}.js" for section in sections for heat in section.heats}
    return {glob.escape(name) for name in tables | drawn} | scripts | {*ASSETS, *VIEWED, LEDGER}


def _empty(files: Path, named: set[str]) -> None:
    """Prepare the folder of the page's files: remove those of an older page."""
    files.mkdir(parents=True, exist_ok=True)
    known = _known(files)
    claim(files, named, known)
    for path in files.iterdir():
        if path.name not in LITTER | {LEDGER}:
            path.unlink()


def _copy_figure(stem: Path, files: Path) -> tuple[int, int]:
    """Copy a figure; return its width and height, which reserve its place while the page loads."""
    try:
        shutil.copyfile(stem.with_suffix(".png"), files / f"{stem.name}.png")
    except FileNotFoundError:
        raise StoreError(
            f"{stem.with_suffix('.png')}: no such file. Fix: {fix_at(stem.with_suffix('.png'))}"
        ) from None
    with Image.open(files / f"{stem.name}.png", formats=("PNG",)) as picture:
        return picture.size


def _colours() -> list[int]:
    """Return the colours of the figures' maps, 256 times red, green, blue."""
    colours = mpl.colormaps[COLOURS](np.arange(256))[:, :3]
    return [int(value) for value in np.rint(255 * colours).ravel()]


def _origins(tables: Mapping[Path, Mapping[str, Any]]) -> list[tuple[list[str], Any]]:
    """Return what tables were made from; those of the same origin share an entry."""
    found: dict[str, tuple[list[str], Any]] = {}
    for stem, content in tables.items():
        origin = {name: value for name, value in content.items() if name not in CONTENT}
        found.setdefault(json.dumps(origin, sort_keys=True), ([], origin))[0].append(stem.name)
    return list(found.values())


def _seen(value: object) -> object:
    """Escape invisible characters in text."""
    return printable(value, keep="\n") if type(value) is str else value


def _spelled(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
