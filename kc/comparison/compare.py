"""Compare one layer of each of two networks on a folder of pictures, in both directions."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from kc.comparison import notes
from kc.comparison.classes import check_classes, shares_by_class
from kc.comparison.fits import direction_product, shapes_of
from kc.comparison.forms import Form, align
from kc.comparison.memory import check_memory
from kc.comparison.places import check_places
from kc.comparison.rungs import ladder_of
from kc.comparison.settings import CompareSettings
from kc.comparison.shares import both_ways, of_spread, one_ladder, shares_table, warnings_of
from kc.comparison.sides import (
    Comparable,
    ComparedRows,
    ComparedSide,
    check_room,
    cuts_of_sides,
    open_side,
    pair_rows,
    store_side,
)
from kc.comparison.similarities import measures_of
from kc.comparison.views import ViewParts
from kc.comparison.workplace import Direction, Workplace
from kc.consistency.ladder import field_of
from kc.consistency.net import check_shapes
from kc.consistency.rank import common_rank, with_rank
from kc.consistency.rungs import Fitted, make_fitted
from kc.consistency.variants import varied
from kc.images.rows import rows_in
from kc.plans.variants import folders_of, orders_and_path, reseeded
from kc.progress import progress_bar
from kc.provenance import code_hash, plain, versions
from kc.store import Store

if TYPE_CHECKING:
    import matplotlib.figure

DEFAULT = CompareSettings()
DIRECTIONS = (("a", "b"), ("b", "a"))
"""Source and target."""
Ways = Mapping[tuple[str, str], Direction]
"""Directions by source and target."""


class Comparison(NamedTuple):
    """The results of a comparison, for tables and pictures."""

    shares: pd.DataFrame
    """One row for each direction and subset: shares of Var(target) by order, counts, gains."""
    peers: pd.DataFrame
    """One row for each direction, test images: similarity measures
    (:data:`kc.similarity.measures.NAMES`)."""
    notes: tuple[str, ...]
    """Footnotes of the shares; warnings first. They contain no path."""
    classes: pd.DataFrame | None
    """One row for each direction and class, if classes were requested
    (:func:`kc.comparison.classes.shares_by_class`)."""
    peer_notes: tuple[str, ...]
    """Footnotes of the similarity measures."""
    components: dict[str, Path]
    """Component store of each direction, if the layers are maps."""
    pictures: dict[str, Store]
    """The pictures by side, ``a`` and ``b``, as its network takes them; empty if both sides are
    features."""
    provenance: dict[str, Any]
    ladder: pd.DataFrame | None = None
    """One row for each direction and map (:class:`kc.consistency.rungs.Ladder`), or None."""
    ladder_notes: tuple[str, ...] = ()
    """Footnotes of the ladder: what the maps are, and which were left out."""
    parts: Mapping[str, ViewParts] = {}
    """By side, the part of each picture's height and width that maps show; none: all of it."""

    @property
    def images(self) -> Store | None:
        """The pictures as a's network takes them; None if both sides are features."""
        return self.pictures.get("a")

    @property
    def answer(self) -> str:
        """A sentence: what of each layer the other does not give."""
        from kc.comparison.shown import share_sentence

        return share_sentence(self.shares)

    def plot(self) -> "matplotlib.figure.Figure":
        """Draw the shares of the orders and of x^Delta on test images, of both directions."""
        from kc.comparison.drawings import orders_figure

        return orders_figure(self.shares, self.provenance["networks"])

    def _repr_html_(self) -> str:
        from kc.comparison.shown import comparison_html

        return comparison_html(self.shares, self.notes, self.peers, self.peer_notes)


def compare(
    a: Comparable,
    b: Comparable,
    layer_a: str | None = None,
    layer_b: str | None = None,
    images: Path | str | None = None,
    out: Path | str = "compared",
    settings: CompareSettings = DEFAULT,
    device: str = "auto",
) -> Comparison:
    """Reconstruct each layer from the other and return the share of its variance g misses.

    That share is the fraction of variance unexplained (FVU = 1 - R^2) of the target given g.
    All files are in ``out``: ``pictures.zarr``, ``activations/``, ``fits/``, ``peers/``,
    ``components/``. An interrupted run resumes there; what other settings, pictures or weights
    made is made again.

    Parameters
    ----------
    a, b
        Any ``nn.Module`` that takes pictures ``(n, 3, size, size)``,
        one from :func:`kc.comparison.read_network`, or features made outside kc
        (:func:`kc.comparison.read_arrays`).
    layer_a, layer_b
        Layers as :func:`kc.comparison.layers_of` lists them, or arrays of a file (None: the only
        one).
    images
        Folder or archive of pictures; None if both sides are features.

    Raises
    ------
    NetworkError
        The layer does not exist (the error names the nearest), or the network cannot be tapped in
        the requested way or does not take pictures of this size.
    ImageError
        There are no or too few pictures, or one does not decode.
    FeatureError
        The layers cannot be brought to the same kind, rows do not match, or a value is not finite.
    StoreError
        An input, or a file that kc did not make, is where kc writes; nothing is changed then.
    """
    at = Workplace.of(settings, Path(out), device)
    sides = [open_side("a", a, layer_a, settings), open_side("b", b, layer_b, settings)]
    names = {side.letter: next(iter(side.layers)) for side in sides}
    forms = _forms(sides, names, settings)
    check_places(at.out, sides, images, *_places(forms, sides, names, settings))
    rows = pair_rows(sides, images, at)
    kinds = [len(forms[s.letter].shape(s.layers[names[s.letter]].shape)) for s in sides]
    if settings.labels:
        check_classes(rows, images)
    one, other = (forms[s.letter].shape(s.layers[names[s.letter]].shape) for s in sides)
    known = len(rows_in(rows.table, "train"))
    what = " and ".join(f"{side.name}, {names[side.letter]}" for side in sides)
    check_memory(what, [(one, other), (other, one)], known, settings.consistency, at.device)
    check_room(sides, {s.letter: {names[s.letter]: [forms[s.letter]]} for s in sides}, rows, at)
    stored = {}
    for side in sides:
        name, form = names[side.letter], forms[side.letter]
        store = store_side(side, {name: [form]}, rows, at)
        stored[side.letter] = store[form.array(name)]
    ways = {
        (source, target): Direction(_named(source, target), stored[source], stored[target])
        for source, target in DIRECTIONS
    }
    at = _ranked(at, ways, known)
    repeated = {ends: _fitted(way, at) for ends, way in ways.items()}
    fits = {ends: some[0] for ends, some in repeated.items()}
    peers = both_ways(_each(ways, "measures", lambda way: pd.DataFrame([measures_of(way, at)])))
    wanted = {} if settings.ladder is False else ways
    ladders = _each(wanted, "linear maps", lambda way: ladder_of(way, at))
    shares = shares_table(repeated, ladders, settings.consistency.order)
    classes = None
    if settings.labels:
        classes = both_ways(_each(ways, "classes", lambda way: shares_by_class(way, rows, at)))
    base = field_of(0, settings.consistency.kernel_size, one)
    told = (
        *warnings_of(repeated, peers, ladders, base),
        *notes.of_views(sides, kinds, settings),
        *notes.of_rounding(sides, {letter: [array] for letter, array in stored.items()}),
        *of_spread(shares, settings.repeats),
        *(side.note(names[side.letter]) for side in sides),
        *notes.of_forms(sides, {letter: (names[letter], forms[letter]) for letter in names}),
        notes.of_rows(sides, rows),
        *(notes.READING, notes.of_fit(settings), notes.of_settled(shares["settled"])),
        *([notes.MOVED] if "x0_linear" in shares else []),
        notes.ONE_PAIR,
        *notes.of_ranks(fits),
        *([notes.RESIZED] if any(fit.card["resized"] for fit in fits.values()) else []),
    )
    origin = {
        "images": origin_of(rows, images),
        "networks": {
            side.letter: {
                "name": side.name,
                "weights": side.weights,
                **side.card,
                "layer": names[side.letter],
                "form": forms[side.letter].suffix.removeprefix("@"),
                "preparation": plain(side.preparation),
                "activations": stored[side.letter].store.digest,
            }
            for side in sides
        },
        "settings": plain(settings),
        "fits": [fitted.card for fitted in fits.values()],
        "code": code_hash("kc.comparison.compare"),
        "versions": versions(),
        "device": str(at.device),
    }
    kept = {f.card["fit"]: f.components for f in fits.values() if f.components is not None}
    ladder, ladder_notes = one_ladder(ladders, float(settings.consistency.penalty))
    return Comparison(
        shares, peers, told, classes, notes.of_measures(peers), kept, rows.pictures,
        origin, ladder, ladder_notes, _shown_parts(rows, forms),
    )  # fmt: skip


def _shown_parts(rows: ComparedRows, forms: Mapping[str, Form]) -> dict[str, ViewParts]:
    parts = rows.parts if any(form.cut is not None for form in forms.values()) else {}
    return {letter: part for letter, part in parts.items() if forms[letter].cut is not None}


def origin_of(rows: ComparedRows, images: Path | str | None) -> dict[str, Any]:
    """Return the pictures, or the number of rows, of a comparison."""
    if rows.images is None:
        return {"rows": len(rows.table)}
    digests = {letter: store.digest for letter, store in rows.pictures.items()}
    different = {"digests": digests} if len(set(digests.values())) > 1 else {}
    found = {"source": str(images), "digest": rows.images.digest, "rows": len(rows.table)}
    return found | different


def _named(source: str, target: str) -> str:
    """Return the name of a direction: of its fit, its components and its figures."""
    return f"{target}-from-{source}"


def _places(
    forms: Mapping[str, Form],
    sides: Sequence[ComparedSide],
    names: Mapping[str, str],
    settings: CompareSettings,
) -> tuple[list[str], list[str]]:
    """List the component stores and the product folders, relative to the output folder."""
    made = [_named(*ends) for ends in DIRECTIONS]
    kinds = ["fits", "peers", *(["classes"] if settings.labels else [])]
    kinds += [] if settings.ladder is False else ["ladder"]
    more = reseeded(settings.repeats)
    more += orders_and_path(settings.consistency) if settings.ladder else []
    shapes = [forms[s.letter].shape(s.layers[names[s.letter]].shape) for s in sides]
    kept = settings.consistency.components != "none" and all(len(shape) == 3 for shape in shapes)
    stores = [f"components/{name}" for name in made] if kept else []
    beside = [folder for name in made for folder in folders_of(name, more)]
    return stores, [f"{kind}/{name}" for kind in kinds for name in made] + beside


def _forms(
    sides: Sequence[ComparedSide], names: Mapping[str, str], settings: CompareSettings
) -> dict[str, Form]:
    layers = [side.layers[names[side.letter]] for side in sides]
    cuts = cuts_of_sides(sides, settings)
    forms = align(layers[0], layers[1], settings.tokens, settings.align, cuts)
    shapes = [form.shape(layer.shape) for form, layer in zip(forms, layers, strict=True)]
    check_shapes(*shapes)
    return {side.letter: form for side, form in zip(sides, forms, strict=True)}


def _ranked(at: Workplace, ways: Ways, images: int) -> Workplace:
    """Replace the rank ``auto`` by the rank r of both directions."""
    shapes = [shapes_of(way) for way in ways.values()]
    given = at.settings.consistency
    chosen = with_rank(given, *shapes[0], common_rank(shapes, images, given))
    return at._replace(settings=at.settings.model_copy(update={"consistency": chosen}))


def _fitted(way: Direction, at: Workplace) -> list[Fitted]:
    """Fit a direction, once or with ``repeats`` seeds of g."""
    own = direction_product(way, at)
    fits = [make_fitted(own, at.out)]
    more = reseeded(at.settings.repeats)
    return fits + [make_fitted(varied(own, one, at.out), at.out) for one in more]


def _each[R](ways: Ways, what: str, make: Callable[[Direction], R]) -> dict[tuple[str, str], R]:
    bar = progress_bar(ways.items(), desc=what, unit="direction")
    return {ends: make(way) for ends, way in bar}
