"""What a notebook shows of a comparison, and its figure."""

import sys
from html.parser import HTMLParser

import matplotlib as mpl
import numpy as np
import pytest

from kc.comparison import CompareSettings, OwnArrays, compare, compare_layers
from kc.comparison.shown import share_sentence
from kc.settings.reconstruction import Consistency, Optimiser

SETTINGS = CompareSettings(
    consistency=Consistency(order=1, optimiser=Optimiser(epochs=1)), ladder=False, repeats=2
)
RNG = np.random.default_rng(3)
NAME = "<script>alert('x')</script>\x1b[31m$5_&"
"""A name that would run, colour the terminal, or begin a formula."""


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebook")
    values = RNG.normal(size=(60, 4)).astype(np.float32)
    np.save(folder / "x.npy", values)
    arrays = {NAME: values, "two": RNG.normal(size=(60, 3)).astype(np.float32)}
    return [OwnArrays("one", arrays, folder / "x.npy"), OwnArrays("<b>", arrays, folder / "x.npy")]


@pytest.fixture(scope="module")
def found(sides, tmp_path_factory):
    out = tmp_path_factory.mktemp("pair")
    return compare(*sides, NAME, "two", out=out, settings=SETTINGS)


@pytest.fixture(scope="module")
def matrix(sides, tmp_path_factory):
    settings = SETTINGS.model_copy(update={"repeats": 1, "fits": "all"})
    out = tmp_path_factory.mktemp("matrix")
    return compare_layers(*sides, out=out, settings=settings, say=lambda _: None)


class Reader(HTMLParser):
    """Collects tags, attributes and texts."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.texts = set(), set(), []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data):
        self.texts.append(data.strip())


def read(html):
    reader = Reader()
    reader.feed(html)
    return reader


def test_a_notebook_shows_sentence_shares_notes_and_measures(found):
    html = found._repr_html_()
    shown = read(html)
    assert shown.texts[:9].count(share_sentence(found.shares)) == 1
    assert f"{found.shares['xdelta'][0]:.3f}" in shown.texts
    assert f"{found.peers['cka_positions'][0]:.3f}" in shown.texts
    assert "xdelta: share g does not give" in shown.texts
    for note in (*found.notes, *found.peer_notes):
        assert note.replace("\x1b", r"\x1b") in shown.texts
    assert len(html) < 30_000


def test_its_html_holds_no_script_and_no_name_as_markup(found, matrix):
    for one in (found, matrix):
        shown = read(one._repr_html_())
        assert shown.tags <= {*("div", "p", "strong", "table", "caption", "thead", "tbody"),
                              *("tr", "th", "td", "ul", "li")}  # fmt: skip
        assert shown.attributes == {"style"}
        assert "\x1b" not in one._repr_html_()


def test_the_figure_has_a_bar_for_each_share_of_each_direction(found):
    figure = found.plot()
    bars = [[bar.get_height() for bar in some] for some in figure.axes[0].containers]
    held = found.shares[found.shares["subset"] == "test"]
    assert bars == [pytest.approx(row) for row in held[["x0", "x1", "xdelta"]].to_numpy().tolist()]
    figure.savefig("/dev/null", format="png")
    (legend,) = (axes.get_legend() for axes in figure.axes)
    assert "b (<b>, two) from a" in [text.get_text() for text in legend.get_texts()]


def test_a_matrix_shows_its_table_and_heatmaps(matrix):
    shown = read(matrix._repr_html_())
    assert f"{matrix.table['xdelta_a'][1]:.3f}" in shown.texts
    assert any(text.startswith("The largest shares given") for text in shown.texts)
    figure = matrix.plot()
    assert [axes.images[0].get_array().shape for axes in figure.axes[:3]] == [(2, 2)] * 3
    figure.savefig("/dev/null", format="png")


def test_plots_leave_the_state_of_pyplot_alone(found, matrix):
    before = dict(mpl.rcParams)
    found.plot()
    matrix.plot()
    assert dict(mpl.rcParams) == before
    assert (
        "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
    )
