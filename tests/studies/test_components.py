"""Pictures of components: the filter that is all x^Delta, next to its images."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kc.errors import FeatureError, StoreError
from kc.plans.products import FitPlan
from kc.plans.studies import plan_of
from kc.report.pictures import enlarge_map
from kc.settings.load import load_settings
from kc.settings.whole import Settings
from kc.studies import components
from kc.studies.components import component_figure, draw_components
from tests.reference.written_components import (
    SIZE,
    colour,
    names,
    noise,
    write_components,
    write_images,
)

IMAGES, ALL_DELTA, STRONG = 10, 3, (7, 2)
"""Images; the filter that consists of x^Delta only; the images in which it is strongest."""


def settings_in(folder: Path, **changed: object) -> Settings:
    return load_settings(
        {"results": folder, "orders": {"layers": {"alexnet": ["conv5"]}}} | changed
    )


def planned(settings: Settings) -> FitPlan:
    return plan_of(settings, "orders").fits[0]


def built(delta_channel: int = ALL_DELTA) -> np.ndarray:
    """Return parts in which one filter's orders are 0, and two images in which it is strong."""
    values = noise(IMAGES)
    values[-1] *= np.float16(0.1)
    values[:-1, :, delta_channel] = 0
    for rank, image in enumerate(STRONG):
        values[-1, image, delta_channel] *= 20 * (2 - rank)
    return values


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Write a store with some of the images, in another order."""
    made = settings_in(tmp_path)
    ids = names(IMAGES + 5)
    write_components(planned(made), tmp_path, built(), ids[:IMAGES])
    write_images("birds", tmp_path, ids[::-1])
    return made


def rows(figure: Figure) -> list[tuple[Axes, list[Axes]]]:
    """Return each row's picture and its maps."""
    found: list[tuple[Axes, list[Axes]]] = []
    for axes in figure.axes:
        if len(axes.images) == 1:
            found.append((axes, []))
        elif len(axes.images) == 2:
            found[-1][1].append(axes)
    return found


def title(axes: Axes) -> str:
    return " ".join(axes.get_ylabel().split())


def caption(figure: Figure) -> str:
    return " ".join(figure.texts[0].get_text().split())


def test_the_filter_that_is_all_delta_is_shown_where_it_is_strongest(settings: Settings):
    figure = component_figure(settings, planned(settings), "orders", "What.")
    found = [title(picture) for picture, _ in rows(figure)]
    assert found[:2] == [f"filter {ALL_DELTA} {names(IMAGES)[image]}" for image in STRONG]
    assert len(found) == 4
    assert not any(name.startswith(f"filter {ALL_DELTA} ") for name in found[2:])


@pytest.mark.parametrize("other", [0, 5])
def test_another_filter_that_is_all_delta_is_shown_in_its_place(tmp_path: Path, other: int):
    made = settings_in(tmp_path)
    write_components(planned(made), tmp_path, built(other), names(IMAGES))
    write_images("birds", tmp_path, names(IMAGES))
    figure = component_figure(made, planned(made), "parts", "What.")
    assert title(rows(figure)[0][0]).startswith(f"filter {other} ")


def test_each_map_is_next_to_the_picture_of_its_image(settings: Settings):
    for picture, _ in rows(component_figure(settings, planned(settings), "orders", "What.")):
        image_id = title(picture).split(" ", 2)[2]
        shown = np.asarray(picture.images[0].get_array())
        assert shown.shape == (SIZE, SIZE, 3)
        np.testing.assert_array_equal(shown, np.broadcast_to(colour(image_id), shown.shape))
    first, last = (colour(names(IMAGES)[image]) for image in (0, -1))
    assert (first != last).any()  # a picture in the wrong place would show


@pytest.mark.parametrize(
    ("columns", "heads"),
    [
        ("orders", ["x*", "x$^{(0)}$", "x$^{(1)}$", "x$^{(2)}$", r"x$^\Delta$"]),
        ("parts", ["x*", "g(x)", r"x$^\Delta$"]),
    ],
)
def test_maps_are_those_of_the_filter_and_image_in_the_row(settings: Settings, columns, heads):
    values = built().astype(np.float32)
    parts = dict(zip(("x$^{(0)}$", "x$^{(1)}$", "x$^{(2)}$", r"x$^\Delta$"), values, strict=True))
    parts |= {"x*": values.sum(0), "g(x)": values[:-1].sum(0)}
    figure = component_figure(settings, planned(settings), columns, "What.")
    for number, (picture, maps) in enumerate(rows(figure)):
        _, channel, image_id = title(picture).split(" ", 2)
        image = names(IMAGES).index(image_id)
        assert len(maps) == len(heads)
        for head, axes in zip(heads, maps, strict=True):
            if number == 0:
                assert axes.get_title() == head
            expected = enlarge_map(parts[head][image, int(channel)], SIZE, SIZE)
            shown = np.asarray(axes.images[1].get_array())
            np.testing.assert_allclose(shown, expected, atol=1e-5)


def test_only_test_images_are_shown_though_all_are_stored(tmp_path: Path):
    made = settings_in(tmp_path)
    values = built()
    subsets = ["train" if image in STRONG else "test" for image in range(IMAGES)]
    write_components(planned(made), tmp_path, values, names(IMAGES), subsets)
    write_images("birds", tmp_path, names(IMAGES))
    figure = component_figure(made, planned(made), "parts", "What.")
    shown = {title(picture).split(" ", 2)[2] for picture, _ in rows(figure)}
    assert "test images" in caption(figure)
    assert not shown & {names(IMAGES)[image] for image in STRONG}


def test_only_the_first_images_are_considered(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(components, "LOOKED_AT", 5)
    figure = component_figure(settings, planned(settings), "parts", "What.")
    shown = {title(picture).split(" ", 2)[2] for picture, _ in rows(figure)}
    assert shown <= set(names(5))
    assert names(IMAGES)[STRONG[1]] in shown  # the strongest, in row 7, is out of sight


def test_settings_set_how_much_is_shown_and_the_caption_explains_it(settings: Settings):
    more = settings.pictures.model_copy(update={"filters": 3, "images": 1})
    fit = planned(settings)
    figure = component_figure(settings.model_copy(update={"pictures": more}), fit, "parts", "What.")
    assert len(rows(figure)) == 3
    assert len({title(picture).split()[1] for picture, _ in rows(figure)}) == 3
    text = caption(figure)
    assert text.startswith(
        "What. x*: conv5 of birds-alexnet-seed1; x: conv5 of birds-alexnet-seed0;"
    )
    assert "largest share of the part's variance" in text


def test_more_filters_than_vary_are_refused(settings: Settings):
    many = settings.pictures.model_copy(update={"filters": 7})
    with pytest.raises(FeatureError, match=r"7 filters asked for; 6 of 6"):
        component_figure(
            settings.model_copy(update={"pictures": many}), planned(settings), "parts", ""
        )


def test_files_are_written_by_fit_or_not_at_all(settings: Settings):
    plan = plan_of(settings, "orders")
    none = settings.consistency.model_copy(update={"components": "none"})
    silent = settings.model_copy(update={"consistency": none})
    draw_components(silent, "orders", plan, "orders", "What.")
    assert not (settings.results / "figures").exists()
    draw_components(settings, "orders", plan, "orders", "What.")
    assert {path.name for path in (settings.results / "figures").iterdir()} == {
        "fig1_alexnet_conv5.png", "fig1_alexnet_conv5.svg",
    }  # fmt: skip


def test_a_missing_component_store_is_named(tmp_path: Path):
    made = settings_in(tmp_path)
    with pytest.raises(StoreError, match="components"):
        component_figure(made, planned(made), "parts", "What.")
