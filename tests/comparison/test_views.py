"""Networks that see different parts of a picture: their maps show the same places."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from kc.comparison import CompareSettings, OwnNetwork, compare, compare_layers
from kc.comparison.forms import Form, OwnLayer, align, cut_maps
from kc.comparison.views import cuts_of
from kc.comparison.write_pair import write_comparison
from kc.errors import StoreError
from kc.images.by_id import pictures_by_id
from kc.settings.preparation import Preparation, Prepare
from kc.settings.reconstruction import Consistency, Optimiser

QUICK = CompareSettings(
    ladder=False, consistency=Consistency(order=0, optimiser=Optimiser(epochs=2))
)
WHOLE = Preparation(size=32, resize=32)
CROPPED = Preparation(size=32, resize=64)
KEPT = Preparation(size=32, resize=32, aspect="keep")


class Means(nn.Module):
    """Means of the colours in cells of 4 x 4 px."""

    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.AvgPool2d(4)
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return self.cells(x) * self.scale


def network(how: Preparation, name: str = "means") -> OwnNetwork:
    return OwnNetwork(name, Means(), prepared=how)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Smooth pictures of 128 x 128 px, or 128 x 96."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(60):
        small = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        size = (128, 128 if number % 2 else 96)
        small.resize(size, Image.Resampling.BICUBIC).save(folder / f"{number:02d}.png")
    return folder


def shares(a: Preparation, b: Preparation, photos: Path, out: Path, **about: object) -> list[float]:
    settings = QUICK.model_copy(update=about)
    found = compare(network(a), network(b), "cells", "cells", photos, out, settings)
    return found.shares.loc[found.shares["subset"] == "test", "xdelta"].tolist()


def test_cut_maps_show_the_same_places():
    """A map that is linear in x and y, cut to its middle, is that function there."""
    y, x = torch.meshgrid(*[(torch.arange(8) + 0.5) / 8 - 0.5] * 2, indexing="ij")
    maps = torch.stack([x, y])[None].repeat(2, 1, 1, 1)
    parts = torch.tensor([[0.5, 0.5], [0.5, 0.75]])
    found = cut_maps(maps, parts, (4, 4))
    cells = (torch.arange(4) + 0.5) / 4 - 0.5
    torch.testing.assert_close(found[0, 0, 0], 0.5 * cells)
    torch.testing.assert_close(found[1, 0, 0], 0.75 * cells)
    torch.testing.assert_close(found[1, 1, :, 0], 0.5 * cells)
    # half of eight cells are four of them, in place
    torch.testing.assert_close(found[0], maps[0, :, 2:6, 2:6])


def test_networks_that_see_other_parts_know_each_other_where_both_see(photos, tmp_path):
    """The same means of colours, of whole pictures and of their middle: nothing is missing."""
    common = shares(WHOLE, CROPPED, photos, tmp_path / "common")
    own = shares(WHOLE, CROPPED, photos, tmp_path / "own", view="own")
    # half as many cells see the middle in a's maps: only their resolution is missing
    assert max(common) < 0.15
    assert max(own) > 0.6


def test_each_picture_has_its_own_part(photos, tmp_path):
    """Half of the pictures are no squares: a squashed one and its middle square differ there."""
    common = shares(WHOLE, KEPT, photos, tmp_path / "common")
    own = shares(WHOLE, KEPT, photos, tmp_path / "own", view="own")
    assert max(common) < 0.5 * min(own)


def test_stores_notes_and_pictures_are_of_each_side(photos, tmp_path):
    sides = network(WHOLE), network(CROPPED)
    found = compare(*sides, "cells", "cells", photos, tmp_path / "out", QUICK)
    assert {path.name for path in (tmp_path / "out").glob("*.zarr")} == {
        "pictures-a.zarr", "pictures-b.zarr",
    }  # fmt: skip
    assert found.provenance["networks"]["a"]["form"] == "view"
    assert found.provenance["networks"]["b"]["form"] == ""
    assert found.provenance["networks"]["b"]["preparation"]["resize"] == 64
    assert len(set(found.provenance["images"]["digests"].values())) == 2
    told = " ".join(found.notes)
    assert "their maps are cut to the part that both see" in told
    assert "of a: both sides resized to 32 px (bilinear), minus" in told
    assert "of b: both sides resized to 64 px (bilinear), cut at the centre to 32 px" in told
    # a figure of a shows the middle of a's picture, which is b's picture
    ids = list(found.pictures["a"].image_ids[:4])
    one, other = (
        pictures_by_id(Path(found.pictures[side].path), ids, parts)
        for side, parts in (("a", dict.fromkeys(ids, (0.5, 0.5))), ("b", {}))
    )
    assert np.abs(one.astype(float) - other).mean() < 6
    assert write_comparison(found, tmp_path / "out").is_file()


def test_the_same_preparation_has_one_store(photos, tmp_path):
    out = tmp_path / "out"
    shares(WHOLE, WHOLE.model_copy(update={"mean": (0.5, 0.5, 0.5)}), photos, out)
    assert [path.name for path in out.glob("*.zarr")] == ["pictures.zarr"]


def test_a_matrix_cuts_maps_too(photos, tmp_path):
    sides = network(WHOLE), network(CROPPED)
    settings = QUICK.model_copy(update={"fits": "all"})
    found = compare_layers(*sides, ["cells"], ["cells"], photos, tmp_path / "out", settings)
    assert found.table["form_a"].tolist() == ["view"]
    assert found.table["xdelta_b"].max() < 0.15
    assert any("cut to the part that both see" in note for note in found.notes)


def test_pictures_that_change_between_two_stores_are_refused(photos, tmp_path, monkeypatch):
    from kc.comparison import sides

    build, made = sides.build_pictures, []

    def changing(source, *rest):
        if made:
            (source / "00.png").rename(source / "new.png")
        made.append(build(source, *rest))
        return made[-1]

    monkeypatch.setattr(sides, "build_pictures", changing)
    with pytest.raises(StoreError, match=r"pictures-b\.zarr: its rows .* changed in between\. Fix"):
        shares(WHOLE, CROPPED, photos, tmp_path / "out")


@pytest.mark.parametrize(
    ("a", "b", "cuts"),
    [
        (WHOLE, WHOLE, None),
        (WHOLE, Preparation(size=224, resize=224), None),
        (WHOLE, CROPPED, (0.5, None)),
        (CROPPED, WHOLE, (None, 0.5)),
        (WHOLE, KEPT, (1.0, 1.0)),
        (CROPPED, KEPT, (1.0, 0.5)),
        (Preparation(size=223, resize=224), Preparation(size=224, resize=224), None),
        (WHOLE, None, None),
    ],
)
def test_maps_are_cut_where_networks_see_more_than_the_other(a, b, cuts):
    assert cuts_of([a, b]) == cuts


def test_kinds_of_layers_that_see_different_parts():
    tokens, maps, vector = OwnLayer("t", (17, 8)), OwnLayer("m", (4, 6, 6)), OwnLayer("v", (9,))
    cuts = (0.5, None)
    one, other = align(tokens, maps, cuts=cuts)
    assert (one.shape(tokens.shape), other) == ((8, 2, 2), Form())
    assert one.suffix == "@grid@view"
    one, other = align(tokens, tokens, cuts=cuts)
    assert (one.suffix, other.suffix) == ("@grid@view", "@grid")
    assert align(vector, vector, cuts=cuts) == (Form(), Form())
    assert [form.layout for form in align(maps, vector, cuts=cuts)] == ["pool", "own"]


def test_what_is_asked_for_on_one_side_is_of_that_side(photos, tmp_path):
    sides = OwnNetwork("a", Means(), asked=Prepare(size=48)), OwnNetwork("b", Means())
    settings = QUICK.model_copy(update={"size": 32})
    found = compare(*sides, "cells", "cells", photos, tmp_path / "out", settings)
    about = found.provenance["networks"]
    assert [about[side]["preparation"]["size"] for side in "ab"] == [48, 32]
