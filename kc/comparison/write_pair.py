"""Write the tables, figures and page of a comparison of two layers.

``kc compare`` (one layer against another) writes, in the folder of ``--out``:

``tables/compare.csv`` (and .md, .tex)
    One row for each direction and subset. ``target``, ``source``: ``a`` or ``b``; ``subset``:
    ``test`` or ``train``; ``xdelta``: share of Var(target) g does not give from the source, the
    fraction of variance unexplained (1 - R^2); ``x0`` .. ``xK``, ``cross``: shares of the orders
    and what the sum of all shares lacks of 1; ``settled``: whether g is finished (``plateau``,
    ``validation``, ``no``); ``images``: of the subset; ``positions_per_weight``: of g, on training
    images; ``p1`` .. ``pK``: gains.
``tables/compare.json``
    Origin of the numbers: ``networks`` (by ``a`` and ``b``: ``name``, ``weights``, ``layer``,
    ``form``, ``activations``), ``images``, ``settings``, ``fits`` (the cards), ``versions``.
``tables/peers.csv`` (and .md, .tex, .json)
    One row for each direction, test images: ``target``, ``source``, and the columns of
    :data:`kc.similarity.measures.NAMES`.
``tables/ladder.csv`` (and .md, .tex, .json), ``figures/ladder.png`` (and .svg)
    Unless ``--no-ladder``: one row for each direction and map, linear or g
    (:class:`kc.consistency.rungs.Ladder`). With ``--ladder`` also ``figures/ladder-path.*``.
``tables/classes.csv`` (and .md, .tex, .json)
    With ``--labels``: one row for each direction and class, test images
    (:func:`kc.comparison.classes.shares_by_class`).
``figures/b-from-a.png``, ``figures/a-from-b.png`` (and .svg)
    If the layers are maps: image, x*, x^(0) .. x^Delta of some filters.
``pictures.zarr``, ``activations/a.zarr``, ``activations/b.zarr``
    Stores (:mod:`kc.store`) with rows in the same order. An array of activations is named by its
    layer and form (``@pool``, ``@grid``, ``@patches``, ``@class``); a digest is added to a name
    that a folder cannot have or a coordinate already has (:func:`kc.comparison.forms.storable`).
``fits/b-from-a``, ``fits/a-from-b`` (``.2``, .. with ``--repeats``, ``.K1``, ``.lambda-0.1``, ..
    with ``--ladder``)
    g of each direction (:func:`kc.consistency.saved.load_fit`) with ``variances.csv``.
``components/b-from-a.zarr``, ``components/a-from-b.zarr``
    If the layers are maps: ``component`` (component, image, channel, y, x) of the first test
    images, names of the components in the attribute ``component``, ids in ``image_id``, as in
    ``pictures.zarr``.

``index.html``, ``index_files/``
    The page of these tables and figures, with a viewer of the components.
``kc.json``
    The names of the tables, figures and page that kc wrote; other files are not overwritten.

``kc compare --layers`` writes the files of :mod:`kc.comparison.write_matrix`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kc.comparison import Comparison, notes
from kc.comparison.outputs import claim_outputs, names_of
from kc.comparison.shown import (
    MEASURE_COLUMNS,
    measures_text,
    share_columns,
    shares_text,
)
from kc.comparison.write_ladder import figures_of, write_ladder
from kc.images.by_id import pictures_by_id
from kc.report.choose import CHOICE, choose_filters, choose_images, live_channels
from kc.report.figures import literal, write_figure
from kc.report.page import Drawing, PageSection, write_page
from kc.report.pictures import SCALE, Panel, feature_maps
from kc.report.tables import Column, TableText, write_table
from kc.report.viewer import View
from kc.store import Store, open_store

LOOKED_AT = 2**24
"""Most values of a component from which filters and images of a figure are chosen."""
FILTERS, IMAGES = 4, 3
"""Filters of a figure, and images for each filter."""


def write_comparison(found: Comparison, folder: Path | str) -> Path:
    """Write tables (csv, md, tex, json), figures (png, svg) and page; return the page's path.

    ``folder``: the output folder of the comparison.
    """
    out = Path(folder)
    classes = [] if found.classes is None else ["classes"]
    ladder = [] if found.ladder is None else ["ladder"]
    figures = list(found.components) if found.pictures else []
    figures += [] if found.ladder is None else figures_of(found.ladder)
    claim_outputs(out, names_of(["compare", "peers", *ladder, *classes], figures))
    write_table(
        found.shares,
        out / "tables" / "compare",
        shares_text(found.shares, found.notes),
        provenance=found.provenance,
        columns=share_columns(found.shares),
    )
    write_table(
        found.peers,
        out / "tables" / "peers",
        measures_text(found.peer_notes),
        provenance=found.provenance,
        columns=MEASURE_COLUMNS,
    )
    drawn, views = [], []
    if found.pictures:
        for name, path in found.components.items():
            figure, caption = _figure(found, name, open_store(path))
            write_figure(figure, out / "figures" / name)
            drawn.append(Drawing(out / "figures" / name, caption))
            views.append(_view(found, name, path))
    sections = [PageSection("shares", "Shares", "", [out / "tables" / "compare"], drawn)]
    if found.ladder is not None:
        sections.append(write_ladder(found, out))
    if found.classes is not None:
        written = _write_classes(found.classes, found.provenance, out)
        sections.append(PageSection("classes", "By class", "", [written], []))
    sections.append(PageSection("peers", "Similarity measures", "", [out / "tables" / "peers"], []))
    names = found.provenance["networks"]
    return write_page(
        out,
        title=f"{names['a']['name']} and {names['b']['name']}",
        lead=found.answer,
        sections=sections,
        views=views,
    )


def _write_classes(classes: pd.DataFrame, provenance: Mapping[str, Any], out: Path) -> Path:
    """Write the table of classes; return its path."""
    path = out / "tables" / "classes"
    write_table(
        classes,
        path,
        TableText(
            title="What is missing of each class",
            caption="Test images; the classes with the largest xdelta first.",
            notes=[notes.CLASSES],
        ),
        provenance=provenance,
        columns={name: Column(name, ".3f") for name in ("xdelta", "low", "high", "weight")},
    )
    return path


def _view(found: Comparison, name: str, components: Path) -> View:
    """Return what the viewer shows of a direction."""
    target, _, source = name.partition("-from-")
    of = found.provenance["networks"]
    return View(
        pair=f"{source} to {target}",
        layer=f"{of[source]['layer']} to {of[target]['layer']}",
        components=components,
        images=Path(found.pictures[target].path),
        parts=_parts(found, target),
        about=_told(found, name),
    )


def _parts(found: Comparison, target: str) -> dict[str, tuple[float, float]]:
    """Return the part of each picture that the target's maps show, by id; empty: all of it."""
    parts = found.parts.get(target)
    if parts is None:
        return {}
    ids = found.pictures[target].image_ids
    return {str(name): (float(y), float(x)) for name, (y, x) in zip(ids, parts, strict=True)}


def _told(found: Comparison, name: str) -> str:
    """Return a sentence on what x and x* are."""
    target, _, source = name.partition("-from-")
    of = found.provenance["networks"]
    return (
        f"x^Delta: what {target} has and {source} does not give. x*: {of[target]['layer']} of "
        f"{of[target]['name']}; x: {of[source]['layer']} of {of[source]['name']}; test images."
    )


def _figure(found: Comparison, name: str, store: Store) -> tuple[Figure, str]:
    """Draw the filters of the target with the largest share of x^Delta."""
    array = store["component"]
    each = int(np.prod(array.shape[2:]))
    values = array[: max(1, min(len(array), LOOKED_AT // each))].astype(np.float32)
    parts, delta, whole = values[:-1], values[-1], values.sum(0)
    live = live_channels(whole.astype(np.float64).var((0, 2, 3)))
    chosen = choose_filters(whole, delta, min(FILTERS, int(live.sum())))
    shown_of = min(IMAGES, len(delta))
    rows = np.concatenate([choose_images(delta, int(c), shown_of) for c in chosen])
    filters = np.repeat(chosen, shown_of)
    panels = {"x*": whole}
    panels |= {f"x$^{{({k})}}$": part for k, part in enumerate(parts)}
    panels |= {r"x$^\Delta$": delta}
    ids = store.rows["image_id"].to_numpy()[rows]
    target = name.partition("-")[0]
    pictures, shown_parts = Path(found.pictures[target].path), _parts(found, target)
    caption = f"{_told(found, name)} {CHOICE} {SCALE}"
    figure = feature_maps(
        pictures_by_id(pictures, list(map(str, ids)), shown_parts),
        [Panel(title, maps[rows, filters]) for title, maps in panels.items()],
        [f"filter {c} {image_id}" for c, image_id in zip(filters, ids, strict=True)],
        filters,
        caption=literal(caption),
    )
    return figure, caption
