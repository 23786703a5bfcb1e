"""Compare many models with each other, and each with untrained twins and the pixels."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd
import torch
from tqdm import tqdm

from kc.comparison.arrays import OwnArrays
from kc.comparison.compare import DEFAULT, origin_of
from kc.comparison.forms import Form
from kc.comparison.model_fits import fit_models, plan_models, told_models, wanted_of
from kc.comparison.model_notes import notes_of_models
from kc.comparison.model_tables import condensed
from kc.comparison.networks import OwnNetwork
from kc.comparison.one_pass import PAIRS, image_parts, layer_grams, why_not
from kc.comparison.places import check_places
from kc.comparison.references import PIXELS, pixel_gram, rows_of_twin, twins_of
from kc.comparison.settings import CompareSettings
from kc.comparison.sides import (
    Choice,
    Comparable,
    ComparedRows,
    ComparedSide,
    check_room,
    open_side,
    pair_rows,
    store_side,
)
from kc.comparison.workplace import Workplace
from kc.consistency.order import Rows
from kc.errors import FeatureError
from kc.images.rows import rows_in
from kc.progress import progress_bar
from kc.provenance import code_hash, plain, product_key, versions
from kc.similarity.all_pairs import one_to_many
from kc.similarity.dual_share import ImageParts
from kc.store import Store
from kc.store.files import write_bytes_atomic
from kc.store.product import Product

if TYPE_CHECKING:
    import matplotlib.figure

LAYERS = ("layer_source", "layer_target")
LETTERS = 40
"""Most characters of a model's name in the names of its files."""


class ModelMatrix(NamedTuple):
    """The results of a comparison of many models."""

    table: pd.DataFrame
    """One row for each source and target (:func:`kc.comparison.model_tables.condensed`)."""
    layers: pd.DataFrame
    """One row for each source, target and pair of their layers."""
    notes: tuple[str, ...]
    provenance: dict[str, Any]

    @property
    def nearest(self) -> pd.DataFrame:
        """The nearest other model of each model, by each measure."""
        from kc.comparison.model_tables import nearest_models

        return nearest_models(self.table)

    @property
    def answer(self) -> str:
        """A sentence: which models are nearest, and which is farthest from the others."""
        from kc.comparison.shown import nearest_sentence

        return nearest_sentence(self.nearest)

    def plot(self) -> "matplotlib.figure.Figure":
        """Draw a heatmap for each measure: rows are sources, columns targets."""
        from kc.comparison.model_figures import models_figure

        return models_figure(self.table)

    def _repr_html_(self) -> str:
        from kc.comparison.shown import models_html

        return models_html(self.answer, self.nearest, self.notes)


class ModelFeatures(NamedTuple):
    """Features that others are compared with."""

    name: str
    kind: str
    """``model``, ``untrained`` or ``pixels``."""
    layers: list[str]
    digest: str
    place: str
    """Its name in the names of files."""
    grams: torch.Tensor
    """Inner products of the images in each layer."""


def compare_models(
    models: Sequence[Comparable],
    layers: Sequence[Choice] | Choice = None,
    images: Path | str | None = None,
    out: Path | str = "compared",
    settings: CompareSettings = DEFAULT,
    device: str = "auto",
    references: bool = True,
    say: Callable[[str], None] = tqdm.write,
) -> ModelMatrix:
    """Compare layers of many models, each pair in both directions.

    Debiased CKA, mutual nearest neighbours and the best linear map of flattened features, each
    against permuted images (:func:`kc.similarity.all_pairs.one_to_many`); x^Delta where
    ``settings.fits`` asks for it. What is known of a pair is kept in ``out``: with one model more,
    only its own features and pairs are computed.

    Parameters
    ----------
    models
        Two or more; two of the same name must differ in their weights.
    layers
        A layer, or ``all``, of all models, or one for each.
    references
        Also compare with an untrained twin of each network (:mod:`kc.comparison.references`) and
        with the pixels.

    Raises
    ------
    NetworkError, ImageError, FeatureError
        As :func:`kc.comparison.compare`; or there are more images than inner products can be held
        for.
    StoreError
        The features need more space than the disk has; or an input, or a file that kc did not
        make, is where kc writes: nothing is changed then.
    """
    at = Workplace.of(settings, Path(out), device)
    wanted = [layers] * len(models) if isinstance(layers, str) or layers is None else list(layers)
    sides = [
        open_side(place, model, layer, settings, "")
        for place, model, layer in zip(names_in_files(models), models, wanted, strict=True)
    ]
    found_twins = twins_of(sides, models, settings) if references else {}
    twins = list(found_twins.values())
    everyone = [*sides, *twins]
    planned = plan_models(sides, settings)
    letters = [*(side.letter for side in everyone), PIXELS]
    peers = [f"peers/{t.letter}-from-{s}" for t in sides for s in letters if s != t.letter]
    check_places(at.out, everyone, images, [], [*peers, *(f"fits/{one.name}" for one in planned)])
    rows = pair_rows(sides, images, at)
    count = sum(len(side.layers) for side in everyone) + 1
    if reason := why_not(len(rows.table), count, settings.consistency.memory_gb):
        raise FeatureError(f"{reason}. Fix: fewer images or layers.")
    forms = wanted_of(everyone, planned)
    size = check_room(everyone, forms, rows, at)
    known = len(rows_in(rows.table, "train"))
    say(
        f"{len(sides)} models, {sum(len(side.layers) for side in sides)} layers on "
        f"{at.device.type}, {size / 1e9:.3g} GB of features; "
        f"{told_models(planned, known, settings, at)}. An interrupted run resumes."
    )
    stores = {side.letter: store_side(side, forms[side.letter], rows, at) for side in sides}
    for side in sides:
        if twin := found_twins.get(side.letter):
            seen = rows_of_twin(rows, side, twin)
            stores[twin.letter] = store_side(twin, forms[twin.letter], seen, at)
    order, parts = image_parts(next(iter(stores.values())), settings.seed)
    sources = _sources(sides, twins, rows, stores, (order, parts), at)
    bar = progress_bar(sources, desc="models", unit="model")
    measured = pd.concat(
        [_measured(source, sources[: len(sides)], parts, at) for source in bar], ignore_index=True
    )
    fitted = fit_models(planned, measured, stores, at)
    table = measured if fitted.shares.empty else measured.merge(
        fitted.shares, on=["source", "layer_source", "target", "layer_target"], how="left"
    )  # fmt: skip
    origin = {
        "images": origin_of(rows, images),
        "networks": {
            side.letter: {
                "name": side.name,
                "weights": side.weights,
                **side.card,
                "layers": list(side.layers),
                "preparation": plain(side.preparation),
                "activations": stores[side.letter].digest,
            }
            for side in everyone
        },
        "settings": plain(settings),
        "fits": fitted.digests,
        "code": code_hash("kc.comparison.models"),
        "versions": versions(),
        "device": str(at.device),
    }
    told = notes_of_models(sides, twins, rows, fitted, settings)
    return ModelMatrix(condensed(table), table, told, origin)


def names_in_files(models: Sequence[Comparable]) -> list[str]:
    """Return a name for each model's files, which does not depend on the other models.

    Raises
    ------
    FeatureError
        Two models have the same name.
    """
    names = [
        model.name if isinstance(model, OwnNetwork | OwnArrays) else type(model).__name__
        for model in models
    ]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise FeatureError(
            f"two models are named '{twice}'. Fix: name each its own way, in Python "
            "OwnNetwork(NAME, module)."
        )
    return [name_in_files(name) for name in names]


def name_in_files(name: str) -> str:
    """Return a name that a file can have; different names give different ones."""
    plain_name = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:LETTERS]
    return f"{plain_name}.{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def _sources(
    sides: Sequence[ComparedSide],
    twins: Sequence[ComparedSide],
    rows: ComparedRows,
    stores: Mapping[str, Store],
    known: tuple[Rows, ImageParts],
    at: Workplace,
) -> list[ModelFeatures]:
    """Compute the inner products of every layer; models first, each in the order of ``sides``."""
    order, parts = known
    found = []
    for kind, some in (("model", sides), ("untrained", twins)):
        for side in some:
            store = stores[side.letter]
            names = [Form().array(layer) for layer in side.layers]
            grams = layer_grams(store, names, order, parts, at.device)
            found.append(
                ModelFeatures(side.name, kind, list(side.layers), store.digest, side.letter, grams)
            )
    if twins and rows.images is not None:
        gram = pixel_gram(rows.images["image"], order, parts, at.device)
        found.append(
            ModelFeatures(PIXELS, PIXELS, [PIXELS], rows.images.digest, PIXELS, gram[None])
        )
    return found


def _measured(
    source: ModelFeatures, models: Sequence[ModelFeatures], parts: ImageParts, at: Workplace
) -> pd.DataFrame:
    """Return the measures of a source and every other model; known pairs are not computed again."""
    others = [model for model in models if model.place != source.place]
    kept = {model.place: _product(source, model, at) for model in others}
    missing = []
    for model in others:
        with kept[model.place] as known:
            if not known.is_done():
                missing.append(model)
    if missing:
        targets = torch.cat([model.grams for model in missing])
        frames = []
        for layer, gram in zip(source.layers, source.grams, strict=True):
            values = one_to_many(gram, targets, parts, at.settings.seed)
            frame = pd.DataFrame({name: value.cpu().numpy() for name, value in values.items()})
            names = [(model.place, own) for model in missing for own in model.layers]
            frame[["place", "layer_target"]] = names
            frames.append(frame.assign(layer_source=layer))
        computed = pd.concat(frames, ignore_index=True)
        for model in missing:
            with kept[model.place] as made:
                made.start()
                own = computed[computed["place"] == model.place].drop(columns="place")
                write_bytes_atomic(made.folder / PAIRS, own.to_csv(index=False).encode())
                made.finish({"device": str(at.device)}, [PAIRS])
    rows = []
    for model in others:
        frame = pd.read_csv(
            kept[model.place].folder / PAIRS,
            dtype=dict.fromkeys(LAYERS, str),
            keep_default_na=False,
            na_values=[""],
        )
        about = {"source": source.name, "target": model.name, "kind": source.kind}
        rows.append(frame.assign(**about))
    found = pd.concat(rows, ignore_index=True)
    first = ["kind", "source", LAYERS[0], "target", LAYERS[1]]
    return found[[*first, *(name for name in found if name not in first)]]


def _product(source: ModelFeatures, target: ModelFeatures, at: Workplace) -> Product:
    inputs = {"source": source.digest, "target": target.digest}
    about = (source.layers, target.layers, at.settings.seed)
    key = product_key(about, inputs, "kc.similarity.all_pairs")
    folder = at.out / "peers" / f"{target.place}-from-{source.place}"
    return Product(folder, key, [PAIRS])
