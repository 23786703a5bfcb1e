"""Constants of units: how each centring counts them, and the notes on it."""

import numpy as np
import pytest

from kc.comparison import CompareSettings, compare, notes, read_arrays
from kc.settings.reconstruction import Consistency, Optimiser

UNITS = 16


def settings(epochs=2, **consistency):
    given = {"order": 0} | consistency
    return CompareSettings(consistency=Consistency(optimiser=Optimiser(epochs=epochs), **given))


@pytest.fixture(scope="module")
def features():
    """b is linear in a, and each unit of b has a mean of three standard deviations."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal((600, UNITS)).astype("f4")
    b = (a @ rng.standard_normal((UNITS, UNITS)) / 4).astype("f4")
    return a, b, 3 * np.random.default_rng(5).standard_normal(UNITS).astype("f4")


@pytest.fixture
def compared(tmp_path):
    def run(x, y, of=None):
        for name, values in (("a", x), ("b", y)):
            np.save(tmp_path / f"{name}.npy", values)
        sides = (read_arrays(str(tmp_path / f"{name}.npy")) for name in "ab")
        return compare(*sides, out=tmp_path / "out", settings=of or settings())

    return run


def share(found, target="b", subset="test"):
    of = found.shares.set_index(["target", "subset"])
    return of["xdelta"][target, subset]


def warned(found, text):
    return [note for note in found.notes if note.startswith("Warning") and text in note]


def test_constants_of_the_target_do_not_count_as_xdelta(features, compared):
    a, b, means = features
    found = compared(a, b + means)
    assert share(found) < 0.01
    assert any("variances are about each channel's own mean" in note for note in found.notes)
    assert not warned(found, "best linear map")


def test_with_the_papers_centring_constants_count_and_a_warning_comes_first(features, compared):
    a, b, means = features
    found = compared(a, b + means, settings(centring="layer"))
    assert share(found) > 0.2
    assert warned(found, "best linear map")[0] == found.notes[0]
    assert f"from a to b, xdelta is {share(found):.3f}" in found.notes[0]
    assert any("One mean of the whole layer" in note for note in found.notes)


def test_an_offset_in_one_unit_of_the_source_changes_nothing(features, compared):
    a, b, _ = features
    offset = np.zeros(UNITS, "f4")
    offset[0] = 1e4
    plain, shifted = share(compared(a, b)), share(compared(a + offset, b))
    assert shifted == pytest.approx(plain, abs=1e-3)
    assert shifted < 0.01
    assert share(compared(a + offset, b, settings(centring="layer"))) > 0.2


def test_the_default_centring_is_channel():
    assert CompareSettings().consistency.centring == "channel"
    assert settings().consistency.centring == "channel"
    assert settings(centring="layer").consistency.centring == "layer"
    assert CompareSettings.model_validate({"consistency": {}}).consistency.centring == "channel"


def test_an_unfinished_fit_gives_a_warning_with_the_option_that_helps(features, compared):
    a, b, _ = features
    found = compared(a, np.abs(b))
    assert list(found.shares["settled"]) == ["no"] * 4
    assert len(warned(found, "is not finished after 2 epochs")) == 2
    assert "a higher --epochs" in found.notes[0]
    # W(0) is solved at once: more training changes nothing
    finished = compared(a, b, settings(200))
    assert set(finished.shares["settled"]) == {"plateau"}
    assert not warned(finished, "not finished")


def test_only_verdicts_that_occur_are_explained():
    told = notes.of_settled(["plateau", "validation"])
    assert "the orders depend on where training stopped" in told
    assert "not finished" not in told
    card = {"settled": "no", "preset": "released", "epochs": 1000}
    assert "the preset released ends by its schedule" in notes.not_settled("from a to b", card)
    assert notes.not_settled("from a to b", card | {"settled": "validation"}) is None


def test_only_a_share_far_above_the_linear_map_gives_a_warning():
    assert notes.far_from_linear("from a to b", 0.34, 0.3) is None
    assert notes.far_from_linear("from a to b", 0.34, float("nan")) is None
    told = notes.far_from_linear("from a to b", 0.36, 0.3)
    assert "xdelta is 0.360, and the best linear map with an intercept misses 0.300" in told
