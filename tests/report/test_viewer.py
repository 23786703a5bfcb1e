"""The viewer's data equals the components."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kc.errors import FeatureError, StoreError
from kc.report import viewer
from kc.report.choose import choose_ends
from kc.report.viewer import Shown, View, as_maps, quantise, write_view
from tests.reference.written_components import SIZE, colour, names, noise, written_view

IMAGES, CHANNELS = 12, 6
PARTS = ("x0", "x1", "x2", "xdelta")
FEW = Shown(images=5, filters=4)


def script(folder: Path, name: str):
    """Read the value that a data script passes to the page."""
    text = (folder / f"{name}.js").read_text(encoding="ascii")
    assert text.startswith("kcData(")
    assert text.endswith(");\n")
    given, value = json.loads(f"[{text[len('kcData(') : -3]}]")
    assert given == name
    return value


def decoded(folder: Path, meta: dict) -> np.ndarray:
    """Return the maps as the page draws them: (filters, parts, images, y, x)."""
    shape = (len(meta["components"]), len(meta["images"]), *meta["map"])
    blocks = [base64.b64decode(script(folder, key)) for key in meta["scripts"]["keys"]]
    assert {len(b) // np.prod(shape) for b in blocks[:-1]} <= {meta["scripts"]["filters"]}
    levels = np.frombuffer(b"".join(blocks), np.uint8).reshape(len(meta["filters"]), *shape)
    largest = np.array([row["largest"] for row in meta["filters"]])[:, :, None, None, None]
    return (levels.astype(np.float64) - 128) * largest / 127


def write(view: View, tmp_path: Path, shown: Shown = FEW):
    folder = tmp_path / "files"
    folder.mkdir(exist_ok=True)
    entry = write_view(view, folder, shown)
    meta = script(folder, view.name)
    assert entry.items() >= {"name": "a-from-b", "pair": "b to a", "layer": "a-from-b"}.items()
    return folder, meta, entry


def varied() -> np.ndarray:
    """Return components whose channels have different shares, means and sizes."""
    values = noise(IMAGES, CHANNELS, seed=3).astype(np.float64)
    values += np.linspace(-2, 2, CHANNELS)[:, None, None]
    values[-1] *= np.linspace(0.2, 2, CHANNELS)[:, None, None]
    values[:, :, 2] *= 5
    return values.astype(np.float16)


def test_maps_are_the_components_of_the_filters_and_images_it_names(tmp_path: Path):
    values = varied()
    folder, meta, _ = write(written_view(tmp_path, values), tmp_path)
    channels = [row["channel"] for row in meta["filters"]]
    assert [image["id"] for image in meta["images"]] == names(5)
    expected = np.moveaxis(values[:, :5].astype(np.float64), 2, 0)[channels]
    found = decoded(folder, meta)
    bound = np.abs(expected).max((2, 3, 4), keepdims=True) / 254 * 1.0001
    assert (np.abs(found - expected) <= bound).all()
    # another filter's or image's maps would not pass
    assert not (np.abs(found[::-1] - expected) <= bound).all()
    assert not (np.abs(found[:, :, ::-1] - expected) <= bound).all()


@pytest.mark.parametrize("block", [1, 2**24])
def test_shares_are_of_all_test_images_whatever_the_blocks(tmp_path: Path, monkeypatch, block):
    monkeypatch.setattr(viewer, "BLOCK_BYTES", block)
    values = varied()
    subsets = ["train" if image in (1, 4) else "test" for image in range(IMAGES)]
    _, meta, entry = write(written_view(tmp_path, values, subsets), tmp_path)
    tested = values[:, [image for image in range(IMAGES) if image not in (1, 4)]].astype(np.float64)
    whole = tested.sum(0)
    of_layer = tested.var((1, 2, 3, 4)) / whole.var()
    assert [meta["shares"][name] for name in PARTS] == pytest.approx(of_layer)
    assert meta["shares"]["cross"] == pytest.approx(1 - of_layer.sum())
    assert entry["xdelta"] == pytest.approx(of_layer[-1])
    assert meta["counted"] == IMAGES - 2
    for row in meta["filters"]:
        c = row["channel"]
        expected = tested[:, :, c].var((1, 2, 3)) / whole[:, c].var()
        assert row["shares"] == pytest.approx(expected, rel=1e-3)
        assert row["variance"] == pytest.approx(whole[:, c].var(), rel=1e-3)


def test_the_mean_of_the_images_shares_is_the_filters(tmp_path: Path):
    _, meta, _ = write(written_view(tmp_path, varied()), tmp_path, Shown(IMAGES, 4))
    for row in meta["filters"]:
        assert np.mean(row["images"]) == pytest.approx(row["shares"][-1], rel=1e-3)
        assert max(row["images"]) > 1.3 * min(row["images"])


def test_the_image_with_more_delta_has_the_larger_share(tmp_path: Path):
    values = varied()
    values[-1, 3] *= 4
    _, meta, _ = write(written_view(tmp_path, values), tmp_path)
    assert all(np.argmax(row["images"]) == 3 for row in meta["filters"])


def test_filters_are_those_of_the_largest_and_smallest_shares():
    share = np.array([0.5, 0.1, 0.9, 0.3, np.nan, 0.7])
    live = np.array([True, True, True, True, False, True])
    assert choose_ends(share, live, 5).tolist() == [2, 5, 0, 3, 1]
    assert choose_ends(share, live, 64).tolist() == [2, 5, 0, 3, 1]
    assert choose_ends(share, live, 3).tolist() == [2, 5, 1]
    assert choose_ends(share, live, 1).tolist() == [2]


def test_filters_that_hardly_vary_are_left_out_and_counted(tmp_path: Path):
    values = varied()
    values[:, :, 1] = 0.5
    values[:, :, 4] *= np.float16(0.001)
    _, meta, _ = write(written_view(tmp_path, values), tmp_path, Shown(5, 64))
    assert sorted(row["channel"] for row in meta["filters"]) == [0, 2, 3, 5]
    assert (meta["channels"], meta["weak"]) == (CHANNELS, 2)


def test_a_part_that_is_zero_stays_zero():
    maps = np.zeros((1, 2, 1, 2, 2), np.float32)
    maps[0, 1, 0] = [[1, -1], [0, 0.5]]
    levels, largest = quantise(maps)
    assert largest.tolist() == [[0, 1]]
    assert levels[0, 0].tolist() == [[[128, 128], [128, 128]]]
    assert levels[0, 1, 0].tolist() == [[255, 1], [128, 192]]


def test_large_layers_show_fewer_images_and_take_more_scripts(tmp_path: Path, monkeypatch):
    view = written_view(tmp_path, varied())
    each = 4 * 9  # bytes of a filter and image
    monkeypatch.setattr(viewer, "VIEW_BYTES", 9 * 4 * each)
    monkeypatch.setattr(viewer, "SCRIPT_BYTES", 3 * 9 * each)
    folder, meta, _ = write(view, tmp_path, Shown(50, 4))
    assert len(meta["images"]) == 9
    assert meta["scripts"] == {"keys": ["a-from-b~0", "a-from-b~1"], "filters": 3}
    assert decoded(folder, meta).shape == (4, 4, 9, 3, 3)
    monkeypatch.setattr(viewer, "VIEW_BYTES", 1)
    assert len(write(view, tmp_path, Shown(50, 4))[1]["images"]) == viewer.FEWEST


def test_pictures_are_those_of_the_images_and_shared_by_views(tmp_path: Path):
    view = written_view(tmp_path, varied())
    folder, meta, _ = write(view, tmp_path, Shown(IMAGES, 2))
    sprite = meta["sprite"]
    with Image.open(folder / sprite["file"]) as sheet:
        pixels = np.asarray(sheet)
    assert pixels.shape == (sprite["lines"] * SIZE, sprite["columns"] * SIZE, 3)
    for place, image in enumerate(meta["images"]):
        y, x = np.array(divmod(place, sprite["columns"])) * SIZE + SIZE // 2
        np.testing.assert_allclose(pixels[y, x], colour(image["id"]), atol=12)
    assert write(view, tmp_path, Shown(IMAGES, 3))[1]["sprite"] == sprite
    assert write(view, tmp_path, Shown(4, 3))[1]["sprite"] != sprite


def test_vectors_and_tokens_are_laid_out_as_maps():
    values = np.arange(2 * 3 * 5 * 4, dtype=np.float32).reshape(2, 3, 5, 4)
    with_class = as_maps(values, ("component", "image", "token", "unit"))
    assert with_class.shape == (2, 3, 4, 2, 2)
    np.testing.assert_array_equal(with_class[1, 2, 3], values[1, 2, 1:, 3].reshape(2, 2))
    grid = as_maps(values[:, :, :4], ("component", "image", "token", "unit"))
    np.testing.assert_array_equal(grid[1, 2, 3], values[1, 2, :4, 3].reshape(2, 2))
    line = as_maps(values[:, :, :3], ("component", "image", "token", "unit"))
    np.testing.assert_array_equal(line[1, 2, 3], values[1, 2, :3, 3][None])
    units = as_maps(values[:, :, 0], ("component", "image", "unit"))
    assert units.shape == (2, 3, 4, 1, 1)
    assert units[1, 2, 3] == values[1, 2, 0, 3]


def test_a_vectors_view_is_written_too(tmp_path: Path):
    view = written_view(tmp_path, varied()[..., 0, 0], dims=("component", "image", "unit"))
    folder, meta, _ = write(view, tmp_path)
    assert meta["map"] == [1, 1]
    assert decoded(folder, meta).shape == (4, 4, 5, 1, 1)


def test_a_layer_that_does_not_vary_is_refused(tmp_path: Path):
    view = written_view(tmp_path, np.ones_like(varied()))
    with pytest.raises(FeatureError, match=r"a-from-b.zarr: no channel of x\* varies"):
        write(view, tmp_path)


def test_a_store_without_test_images_is_refused(tmp_path: Path):
    view = written_view(tmp_path, varied(), ["train"] * IMAGES)
    with pytest.raises(FeatureError, match="keeps no test images"):
        write(view, tmp_path)


def test_pictures_of_other_images_are_refused(tmp_path: Path):
    view = written_view(tmp_path, varied())
    other = written_view(tmp_path / "other", varied(), ids=names(IMAGES + 20)[20:])
    mixed = View(view.pair, view.layer, view.components, other.images)
    with pytest.raises(StoreError, match=r"no picture 'class/bird 00.jpg' among its 12 \(5 of 5"):
        write(mixed, tmp_path)
