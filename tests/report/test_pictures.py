"""Pictures of feature maps: known filters and images are found, scales shared, files equal."""

import base64
import re
from io import BytesIO
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from kc.errors import FeatureError
from kc.report.choose import CHOICE, choose_filters, choose_images
from kc.report.figures import literal, write_figure
from kc.report.pictures import SCALE, Panel, enlarge_map, feature_maps

FILTERS = np.array([4, 4, 9])
TITLES = ["first", "second", "a third with a long name"]


def smooth(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def images(rows: int = 3, height: int = 20, width: int = 30) -> np.ndarray:
    rng = np.random.default_rng(7)
    return rng.integers(0, 256, (rows, 3, height, width), dtype=np.uint8)


def panels() -> list[Panel]:
    return [Panel("x*", smooth((3, 5, 6), 1)), Panel("x$^\\Delta$", 0.2 * smooth((3, 5, 6), 2))]


def drawn(caption: str = "A caption.") -> Figure:
    return feature_maps(images(), panels(), TITLES, FILTERS, caption=caption)


def overlays(figure: Figure) -> list[list[Axes]]:
    """Return the axes with a map over an image, row by row."""
    found = [axes for axes in figure.axes if len(axes.images) == 2]
    return [found[begin : begin + 2] for begin in range(0, len(found), 2)]


def limits(figure: Figure) -> list[set[tuple[float, float]]]:
    return [{axes.images[1].get_clim() for axes in row} for row in overlays(figure)]


def bars(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.get_ylabel().startswith("filter")]


# choosing filters and images


def built() -> tuple[np.ndarray, np.ndarray]:
    """Return features; channel 0: no part, 1: a third, 2: all part, 3: dead, 4: weak, all part."""
    common, own = smooth((40, 5, 4, 4), 3), smooth((40, 5, 4, 4), 4)
    strength = np.array([0, 3, 1, 0, 1e-3]).reshape(1, 5, 1, 1)
    part = own * strength
    whole = part + common * np.array([1, 4, 0, 0, 0]).reshape(1, 5, 1, 1)
    return whole, part


def test_the_channel_that_is_all_part_comes_first_and_dead_ones_never():
    whole, part = built()
    assert choose_filters(whole, part, 3).tolist() == [2, 1, 0]
    assert choose_filters(whole, part, 1).tolist() == [2]


def test_a_weak_channel_that_is_lifted_over_the_threshold_is_taken():
    whole, part = built()
    whole[:, 4] *= 1e3
    part[:, 4] *= 1e3
    assert set(choose_filters(whole, part, 2).tolist()) == {2, 4}


def test_a_dead_channel_is_left_out_where_most_are_dead():
    whole = np.zeros((6, 5, 3, 3))
    whole[:, 3] = smooth((6, 3, 3))
    assert choose_filters(whole, 0.1 * whole, 1).tolist() == [3]
    with pytest.raises(FeatureError, match="2 filters asked for; 1 of 5 channels"):
        choose_filters(whole, whole, 2)


def test_a_channels_mean_does_not_count():
    whole, part = built()
    part = part + np.array([1e3, 0, 0, 1e3, 0]).reshape(1, 5, 1, 1)
    assert choose_filters(whole, part, 1).tolist() == [2]


def test_ties_go_to_the_lower_number():
    same = np.repeat(smooth((6, 1, 3, 3)), 4, axis=1)
    assert choose_filters(same, 0.5 * same, 4).tolist() == [0, 1, 2, 3]
    assert choose_images(np.ones((5, 1, 2, 2)), 0, 3).tolist() == [0, 1, 2]


def test_half_precision_is_summed_in_double():
    whole, part = (values.astype(np.float16) for values in built())
    far = np.float16(300)
    assert choose_filters(whole * far, part * far, 2).tolist() == [2, 1]


def test_the_images_with_the_strongest_map_are_chosen():
    part = 0.1 * smooth((10, 3, 4, 4))
    part[7, 1] = -3
    part[2, 1] = 2
    part[5, 0] = 9
    assert choose_images(part, 1, 2).tolist() == [7, 2]
    assert choose_images(part, 0, 1).tolist() == [5]


def test_features_without_maps_are_refused():
    vectors = smooth((6, 8))
    for chosen in (
        lambda: choose_filters(vectors, vectors, 1),
        lambda: choose_images(vectors, 0, 1),
        lambda: choose_images(smooth((6, 7, 8)), 0, 1),
        lambda: feature_maps(images(), [Panel("x*", smooth((3, 8)))], TITLES, FILTERS, caption=""),
    ):
        with pytest.raises(FeatureError, match=r"shape \(.*Vectors and tokens have no map. *Fix"):
            chosen()


def test_no_images_to_choose_from_are_refused():
    with pytest.raises(FeatureError, match="none of them 0"):
        choose_images(np.zeros((0, 3, 2, 2)), 0, 0)


def test_impossible_choices_are_refused():
    whole, part = built()
    with pytest.raises(FeatureError, match=r"part: shape \(40, 4, 4, 4\); expected the whole's"):
        choose_filters(whole, part[:, 1:], 1)
    with pytest.raises(FeatureError, match="4 filters asked for; 3 of 5 channels vary"):
        choose_filters(whole, part, 4)
    with pytest.raises(FeatureError, match="-1 filters asked for"):
        choose_filters(whole, part, -1)
    with pytest.raises(FeatureError, match="channel: 5; expected 0 to 4"):
        choose_images(part, 5, 1)
    with pytest.raises(FeatureError, match="41 images asked for; part has 40"):
        choose_images(part, 0, 41)


def test_values_that_are_not_finite_are_refused():
    whole, part = built()
    spoilt = part.copy()
    spoilt[3, 2, 0, 0] = np.nan
    with pytest.raises(FeatureError, match="part: holds NaN"):
        choose_filters(whole, spoilt, 1)
    with pytest.raises(FeatureError, match="part, channel 2: holds NaN"):
        choose_images(spoilt, 2, 1)
    assert len(choose_images(spoilt, 1, 1)) == 1
    maps = smooth((3, 5, 6))
    maps[1, 0, 0] = np.inf
    with pytest.raises(FeatureError, match=r"panel 'x\*': holds NaN or infinity"):
        feature_maps(images(), [Panel("x*", maps)], TITLES, FILTERS, caption="")


# drawing


def test_rows_of_one_filter_share_their_limits_and_no_others():
    maps = np.stack([panel.maps for panel in panels()])
    four, nine = (float(np.abs(maps[:, rows]).max()) for rows in ([0, 1], [2]))
    assert limits(drawn()) == [{(-four, four)}, {(-four, four)}, {(-nine, nine)}]
    assert four != nine


def test_a_repeated_filter_keeps_its_limits():
    figure = feature_maps(images(), panels(), TITLES, np.array([4, 9, 4]), caption="")
    first, second, third = limits(figure)
    assert first == third != second
    assert len(first) == 1


def test_each_run_of_rows_has_one_colour_bar_with_its_filter_and_limits():
    figure = drawn()
    assert [axes.get_ylabel() for axes in bars(figure)] == ["filter 4", "filter 9"]
    for bar, shown in zip(bars(figure), limits(figure)[1:], strict=True):
        assert bar.get_ylim() == next(iter(shown))
        low, zero, high = (label.get_text() for label in bar.get_yticklabels())
        assert zero == "0"
        assert low == f"\N{MINUS SIGN}{high}"
        assert float(high) == pytest.approx(bar.get_ylim()[1], rel=0.005)
    again = feature_maps(images(), panels(), TITLES, np.array([4, 9, 4]), caption="")
    assert [axes.get_ylabel() for axes in bars(again)] == ["filter 4", "filter 9", "filter 4"]


def test_maps_of_zero_are_drawn_at_the_middle_of_the_scale():
    figure = feature_maps(
        images(1), [Panel("x", np.zeros((1, 5, 6)))], ["a"], np.array([0]), caption=""
    )
    assert limits(figure) == [{(-1, 1)}]


def test_columns_hold_the_image_and_the_enlarged_maps():
    figure = drawn()
    first = figure.axes[:3]
    assert [axes.get_title() for axes in first] == ["image", "x*", "x$^\\Delta$"]
    assert all(not axes.get_title() for axes in figure.axes[3:])
    shown = [axes for axes in figure.axes if len(axes.images) == 1]
    for row, (axes, maps) in enumerate(zip(shown, overlays(figure), strict=True)):
        picture = images()[row].transpose(1, 2, 0)
        np.testing.assert_array_equal(axes.images[0].get_array(), picture)
        assert axes.get_ylabel().replace("\n", " ") == TITLES[row]
        for over, panel in zip(maps, panels(), strict=True):
            under, map_shown = over.images
            grey = picture @ [0.299, 0.587, 0.114] / 255
            np.testing.assert_allclose(under.get_array(), grey)
            assert map_shown.get_array().shape == (20, 30)
            np.testing.assert_array_equal(
                map_shown.get_array(), enlarge_map(panel.maps[row], 20, 30)
            )
            assert 0 < map_shown.get_alpha() < 1


def test_enlarging_keeps_a_ramp_and_the_corners():
    ramp = np.tile(np.arange(4.0), (3, 1))
    large = enlarge_map(ramp, 9, 16)
    places = (np.arange(16) + 0.5) / 4 - 0.5
    np.testing.assert_allclose(large, np.tile(places.clip(0, 3), (9, 1)), atol=1e-12)
    assert enlarge_map(ramp, 3, 4).tolist() == ramp.tolist()
    assert not np.allclose(enlarge_map(ramp[:, ::-1].copy(), 9, 16), large)


@pytest.mark.parametrize("dpi", [72, 100, 200])
def test_nothing_is_cut_off_or_lies_over_another(dpi: int):
    figure = drawn(f"{CHOICE} {SCALE}\nFilter numbers count from 0.")
    figure.dpi = dpi
    renderer = FigureCanvasAgg(figure).get_renderer()
    page = figure.bbox
    boxes = [axes.get_tightbbox(renderer) for axes in figure.axes]
    boxes += [text.get_window_extent(renderer) for text in figure.texts]
    for box in boxes:
        assert box.x0 >= page.x0 - 1
        assert box.y0 >= page.y0 - 1
        assert box.x1 <= page.x1 + 1
        assert box.y1 <= page.y1 + 1
    for number, box in enumerate(boxes):
        for other in boxes[number + 1 :]:
            across = min(box.x1, other.x1) - max(box.x0, other.x0)
            down = min(box.y1, other.y1) - max(box.y0, other.y0)
            assert min(across, down) <= 1


def test_the_caption_is_wrapped_but_loses_no_word():
    text = f"{CHOICE}\n{SCALE}"
    shown = drawn(text).texts[0].get_text()
    assert shown.split() == text.split()
    assert len(shown.splitlines()) > 3
    assert "\nAll maps of one filter" in shown
    assert drawn("").texts[0].get_text() == ""
    assert "below 1 % of" in CHOICE


def test_the_same_input_gives_the_same_bytes(tmp_path: Path):
    for name in ("a", "b"):
        write_figure(drawn(), tmp_path / name)
    other = panels()
    other[0].maps[0, 0, 0] += 1
    write_figure(feature_maps(images(), other, TITLES, FILTERS, caption=""), tmp_path / "c")
    for suffix in (".png", ".svg"):
        first, again, third = (
            (tmp_path / name).with_suffix(suffix).read_bytes() for name in ("a", "b", "c")
        )
        assert first == again
        assert first != third
        assert len(first) > 5000
    assert plt.get_fignums() == []


def test_png_and_svg_show_the_same_colours(tmp_path: Path):
    ones = np.ones((1, 2, 2))
    about = {"row_titles": ["a"], "filters": np.array([0]), "caption": ""}
    grey = np.full((1, 3, 8, 8), 100, np.uint8)
    figure = feature_maps(grey, [Panel("x", ones)], **about)
    write_figure(figure, tmp_path / "one")
    png = np.asarray(Image.open(tmp_path / "one.png").convert("RGB")).astype(float)
    across, down = figure.axes[1].get_position().get_points().mean(0)
    printed = png[round((1 - down) * png.shape[0]), round(across * png.shape[1])]
    drawn_in_svg = re.findall(r'base64,([^"]+)"', (tmp_path / "one.svg").read_text())
    _, under, over, _ = (
        np.asarray(Image.open(BytesIO(base64.b64decode(image))).convert("RGBA")).astype(float)
        for image in drawn_in_svg
    )
    assert under[5, 5, 3] == 255
    opacity = over[5, 5, 3] / 255
    blended = opacity * over[5, 5, :3] + (1 - opacity) * under[5, 5, :3]
    np.testing.assert_allclose(blended, printed, atol=3)


def test_the_input_is_left_as_it_was():
    given, shown = images(), panels()
    feature_maps(given, shown, TITLES, FILTERS, caption="")
    np.testing.assert_array_equal(given, images())
    for panel, before in zip(shown, panels(), strict=True):
        np.testing.assert_array_equal(panel.maps, before.maps)


def test_rows_that_do_not_match_are_refused():
    with pytest.raises(FeatureError, match="row_titles: 2 for 3 images; expected one for each row"):
        feature_maps(images(), panels(), TITLES[:2], FILTERS, caption="")
    with pytest.raises(FeatureError, match="filters: 2 for 3 images"):
        feature_maps(images(), panels(), TITLES, FILTERS[:2], caption="")
    with pytest.raises(FeatureError, match="3 images, 0 panels; expected at least one of each"):
        feature_maps(images(), [], TITLES, FILTERS, caption="")
    with pytest.raises(FeatureError, match="0 images, 2 panels"):
        feature_maps(images(0), panels(), [], FILTERS[:0], caption="")
    with pytest.raises(FeatureError, match=r"panel 'y': shape \(2, 5, 6\); expected maps \(3, h"):
        feature_maps(images(), [Panel("y", smooth((2, 5, 6)))], TITLES, FILTERS, caption="")


@pytest.mark.parametrize("text", ["sale_$5_or_$6^_1.png", "$x$", r"\$a\$", "$", "a\tb", "{}%_^$$"])
def test_dollars_in_users_texts_do_not_begin_formulas(text: str):
    """Two dollars would begin a formula and end in a traceback."""
    shown, is_formula = Text()._preprocess_math(literal(text))
    assert (shown, is_formula) == (text.replace("\t", "\N{REPLACEMENT CHARACTER}"), False)
    title = f"filter 4 {text}"
    figure = feature_maps(images(1), [panel(1)], [title], FILTERS[:1], caption=literal(text))
    figure.savefig(BytesIO(), format="svg")
    axes = next(axes for axes in figure.axes if axes.get_ylabel())
    assert literal(text).split()[-1] in axes.get_ylabel()


def test_characters_without_a_glyph_become_the_replacement_character():
    """Matplotlib warns of each, and warnings may be errors."""
    assert literal("é 日本 \N{GRINNING FACE WITH SMILING EYES}").startswith("é \ufffd\ufffd ")
    figure = feature_maps(
        images(1), [panel(1)], ["filter 4 日本"], FILTERS[:1], caption=literal("日")
    )
    figure.savefig(BytesIO(), format="png")


def panel(rows: int) -> Panel:
    return Panel("x$^\\Delta$", smooth((rows, 5, 6), 1))
