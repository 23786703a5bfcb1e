import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kc.datasets.archive import FolderFiles
from kc.datasets.cub import read_cub
from kc.datasets.decode import crop_box, decode
from kc.datasets.samples import Sample
from kc.errors import StoreError
from kc.settings.dataset import Dataset, Generated
from kc.synthetic import generated, write_cub
from kc.synthetic.drawn_files import training_images
from kc.synthetic.generated import write_generated
from kc.synthetic.write_cub import class_folder, draw_bird

TINY = Generated(classes=5, images_per_class=5, canvas=40, seed=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generated") / "birds-source"
    write_generated("cub", TINY, folder)
    return folder


def read(folder: Path) -> list[Sample]:
    return read_cub(FolderFiles(folder), Dataset())


def test_reader_recovers_labels_and_subsets(folder: Path) -> None:
    samples = read(folder)
    assert len(samples) == 25
    assert [sample.label for sample in samples] == [k // 5 for k in range(25)]
    for sample in samples:
        assert sample.class_name == class_folder(TINY, sample.label)
    for label in range(5):
        subsets = [sample.subset for sample in samples if sample.label == label]
        assert (subsets.count("train"), subsets.count("test")) == (3, 2)


def test_reader_recovers_pictures_boxes_and_masks(folder: Path) -> None:
    files = FolderFiles(folder)
    for k, sample in enumerate(read(folder)):
        painting = draw_bird(TINY, k // 5, k % 5)
        assert sample.mask is not None
        mask = np.asarray(Image.open(folder / sample.mask)) >= 128
        np.testing.assert_array_equal(mask, painting.foreground)
        with Image.open(folder / sample.file) as jpeg:
            error = np.asarray(jpeg).astype(float) - painting.image
        assert np.abs(error).mean() < 3
        left, top, right, bottom = crop_box(sample, (40, 40), files)
        outside = mask.copy()
        outside[top:bottom, left:right] = False
        assert not outside.any()
        inside = mask[top:bottom, left:right]
        assert inside[0].any()
        assert inside[-1].any()
        assert inside[:, 0].any()
        assert inside[:, -1].any()


def test_cropped_mask_touches_all_sides_after_resizing(folder: Path) -> None:
    files = FolderFiles(folder)
    for sample in read(folder):
        foreground = decode(
            sample, files, 64
        ).foreground  # larger than any box, so no pixel is lost
        assert foreground is not None
        for side in (foreground[0], foreground[-1], foreground[:, 0], foreground[:, -1]):
            assert side.any()


def test_same_seed_same_bytes_another_seed_others(folder: Path, tmp_path: Path) -> None:
    write_generated("cub", TINY, tmp_path / "again")
    write_generated("cub", TINY.model_copy(update={"seed": 2}), tmp_path / "other")
    names = [path.relative_to(folder) for path in sorted(folder.rglob("*.jpg"))]
    for name in names:
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()
    others = {path.read_bytes() for path in (tmp_path / "other").rglob("*.jpg")}
    assert not others & {(folder / name).read_bytes() for name in names}
    assert {path.name for path in (tmp_path / "other/images").iterdir()} != {
        path.name for path in (folder / "images").iterdir()
    }


def test_picture_does_not_depend_on_how_many_are_drawn() -> None:
    more = TINY.model_copy(update={"classes": 12, "images_per_class": 9})
    np.testing.assert_array_equal(draw_bird(TINY, 4, 2).image, draw_bird(more, 4, 2).image)
    assert class_folder(TINY, 4) == class_folder(more, 4)
    assert (draw_bird(TINY, 4, 2).image != draw_bird(TINY, 4, 3).image).any()


@pytest.mark.parametrize(("share", "tested"), [(0.01, 1), (0.5, 2), (0.99, 3)])
def test_every_class_keeps_both_subsets(share: float, tested: int) -> None:
    settings = TINY.model_copy(update={"test_share": share, "images_per_class": 4})
    assert len(training_images(settings, 0)) == 4 - tested


def test_a_complete_folder_is_not_drawn_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("drawn again")

    monkeypatch.setattr(write_cub, "_write_one", refuse)
    write_generated("cub", TINY, folder)
    with pytest.raises(AssertionError, match="drawn again"):
        write_generated("cub", TINY.model_copy(update={"difficulty": 0.4}), folder)


@pytest.mark.parametrize("fault", ["flipped", "lost", "card", "other card", "name in card"])
def test_a_damaged_folder_is_drawn_again(tmp_path: Path, fault: str) -> None:
    settings = TINY.model_copy(update={"classes": 2, "images_per_class": 4})
    folder = tmp_path / "source"
    write_generated("cub", settings, folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    victim, card = sorted(folder.rglob("*.jpg"))[3], folder / generated.CARD
    match fault:
        case "flipped":
            victim.write_bytes(victim.read_bytes()[:-1] + b"\x00")
        case "lost":
            victim.unlink()
        case "card":
            card.write_text("{")
        case "name in card":
            card.write_text(card.read_text().replace("0001.jpg", "0009.jpg", 1))
        case "other card":
            card.write_text(json.dumps({"key": "0", "digest": "0"}))
    write_generated("cub", settings, folder)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_interrupted_drawing_leaves_no_complete_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "source"
    count = 0

    def die(settings: Generated, number: int, index: int) -> object:
        nonlocal count
        count += 1
        if count > 3:
            raise KeyboardInterrupt
        return draw_bird(settings, number, index)

    with monkeypatch.context() as patch:
        patch.setattr(write_cub, "draw_bird", die)
        with pytest.raises(KeyboardInterrupt):
            write_generated("cub", TINY, folder)
    assert not folder.exists()
    write_generated("cub", TINY, folder)
    assert len(read(folder)) == 25
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize("aside", ["", ".part"])
@pytest.mark.parametrize("name", ["mine.jpg", "card.json"])
def test_a_folder_kc_did_not_draw_is_refused(tmp_path: Path, aside: str, name: str) -> None:
    mine = tmp_path / f"source{aside}" / name
    mine.parent.mkdir()
    mine.write_text('{"mine": 1}')
    (mine.parent / "other.txt").write_text("mine")
    with pytest.raises(StoreError, match=rf"source{aside}: kc did not make .*Fix: move it away"):
        write_generated("cub", TINY, tmp_path / "source")
    assert mine.read_text() == '{"mine": 1}'
    assert [path.name for path in tmp_path.iterdir()] == [f"source{aside}"]


def test_a_users_file_among_drawn_pictures_is_never_removed(tmp_path: Path) -> None:
    small = TINY.model_copy(update={"classes": 2, "images_per_class": 4})
    folder = tmp_path / "source"
    write_generated("cub", small, folder)
    (folder / "images/mine.jpg").write_text("mine")
    for settings in (small, small.model_copy(update={"seed": 2})):
        with pytest.raises(StoreError, match=r"source: kc did not make images/mine\.jpg, and"):
            write_generated("cub", settings, folder)
    (folder / "images/mine.jpg").unlink()
    card = json.loads((folder / generated.CARD).read_text())
    (folder / generated.CARD).write_text(json.dumps({n: card[n] for n in ("key", "digest")}))
    write_generated("cub", small.model_copy(update={"seed": 2}), folder)  # drawn by an older kc
    (folder / generated.CARD).write_text(json.dumps({n: card[n] for n in ("key", "digest")}))
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(StoreError, match=r"link: kc did not make"):
        write_generated("cub", small, tmp_path / "link")
    assert (folder / generated.CARD).is_file()
