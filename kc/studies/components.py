"""Draw pictures of stored components, one file for each fit."""

from typing import Literal

import numpy as np
from matplotlib.figure import Figure

from kc.images.by_id import pictures_by_id
from kc.images.rows import rows_in
from kc.plans.outputs import pictured
from kc.plans.products import FitPlan
from kc.plans.study import StudyPlan
from kc.report.choose import CHOICE, choose_filters, choose_images
from kc.report.figures import write_figure
from kc.report.pictures import SCALE, Panel, feature_maps
from kc.settings.whole import Settings
from kc.store import open_store

LOOKED_AT = 512
"""Number of test images to choose from: the store's first, which are a random sample."""

Columns = Literal["orders", "parts"]


def draw_components(
    settings: Settings, study: str, plan: StudyPlan, columns: Columns, what: str
) -> None:
    """Draw each fit of a study with stored components: x*, what g reconstructs, x^Delta.

    Parameters
    ----------
    columns
        ``orders``: g(x) split into x^(0) .. x^(K); ``parts``: g(x) as one.
    what
        First sentence of the caption: what x^Delta means here.
    """
    if settings.consistency.components == "none":
        return
    for name, fit in pictured(study, plan):
        figure = component_figure(settings, fit, columns, what)
        write_figure(figure, settings.results / "figures" / name)


def component_figure(settings: Settings, fit: FitPlan, columns: Columns, what: str) -> Figure:
    """Draw the filters of a fit's target that have the largest share of x^Delta.

    Raises
    ------
    FeatureError
        The target is no map, or has fewer filters or images than ``pictures`` sets.
    """
    results, wanted = settings.results, settings.pictures
    store = open_store(results / "components" / f"{fit.name}.json")
    array = store["component"]
    looked_at = rows_in(store.rows, "test")[:LOOKED_AT]
    values = array[looked_at].astype(np.float32)
    parts, delta, whole = values[:-1], values[-1], values.sum(0)
    chosen = choose_filters(whole, delta, wanted.filters)
    images = np.concatenate([choose_images(delta, int(c), wanted.images) for c in chosen])
    filters = np.repeat(chosen, wanted.images)
    shown = {"x*": whole}
    if columns == "orders":
        shown |= {f"x$^{{({k})}}$": part for k, part in enumerate(parts)}
    else:
        shown |= {"g(x)": parts.sum(0)}
    shown |= {r"x$^\Delta$": delta}
    ids = [str(image_id) for image_id in store.rows["image_id"].to_numpy()[looked_at[images]]]
    return feature_maps(
        pictures_by_id(results / "images" / f"{fit.target.dataset}.json", ids),
        [Panel(title, maps[images, filters]) for title, maps in shown.items()],
        [f"filter {c} {name}" for c, name in zip(filters, ids, strict=True)],
        filters,
        caption=f"{what} x*: {fit.target_layer} of {fit.target.name}; x: {fit.source_layer} of "
        f"{fit.source.name}; test images. {CHOICE} {SCALE}",
    )
