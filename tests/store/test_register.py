"""Any missing, exchanged or edited file of a folder is found."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from typer.testing import CliRunner

from kc.cli.main import app
from kc.errors import StoreError
from kc.files.made import MADE, begin_register
from kc.plans.commands import AGAIN
from kc.report.figures import write_figure
from kc.report.tables import TableText, read_table, write_table
from kc.settings.dataset import Generated
from kc.steps.storage import drop_store
from kc.store import ArraySpec, StoreContent, StoreWriter
from kc.store.product import Product
from kc.store.verify import damages_under
from kc.synthetic.generated import write_generated


def exchange(one: Path, other: Path) -> None:
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    room = tmp_path_factory.mktemp("compared")
    rng = np.random.default_rng(0)
    for name in "ab":
        np.save(room / f"{name}.npy", rng.normal(size=(60, 3, 4, 4)))
    given = ["--a", room / "a.npy", "--b", room / "b.npy", "--epochs", 1, "--no-ladder"]
    command = list(map(str, ["compare", *given]))
    assert run(command, room / "out") == []
    return room / "out", command


def run(command: list[str], out: Path) -> list[str]:
    found = CliRunner().invoke(app, [*command, "--out", str(out)])
    assert found.exit_code == 0, found.output
    return damages_under(out)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def stores(out: Path) -> None:
    for suffix in (".zarr", ".json", ".state"):
        exchange(out / f"activations/a{suffix}", out / f"activations/b{suffix}")


DAMAGES = {
    "components removed": lambda out: shutil.rmtree(out / "components/a-from-b.zarr"),
    "components wholly removed": lambda out: [
        shutil.rmtree(out / "components/a-from-b.zarr"),
        shutil.rmtree(out / "components/a-from-b.state"),
        (out / "components/a-from-b.json").unlink(),
    ],
    "a fit removed": lambda out: shutil.rmtree(out / "fits/a-from-b"),
    "all fits removed": lambda out: shutil.rmtree(out / "fits"),
    "a key removed": lambda out: (out / "fits/a-from-b/key.json").unlink(),
    "fits exchanged": lambda out: exchange(out / "fits/a-from-b", out / "fits/b-from-a"),
    "stores exchanged": stores,
    "a csv edited": lambda out: cut(out / "tables/compare.csv"),
    "an origin edited": lambda out: cut(out / "tables/compare.json"),
    "a tex removed": lambda out: (out / "tables/peers.tex").unlink(),
    "a table removed": lambda out: [path.unlink() for path in out.glob("tables/peers.*")],
    "the page cut": lambda out: cut(out / "index.html"),
    "the page removed": lambda out: (out / "index.html").unlink(),
    "a script of the page cut": lambda out: cut(out / "index_files/page.js"),
    "the page's files removed": lambda out: shutil.rmtree(out / "index_files"),
    "a note cut": lambda out: cut(out / MADE / "fits/a-from-b.json"),
    "notes exchanged": lambda out: exchange(
        out / MADE / "fits/a-from-b.json", out / MADE / "fits/b-from-a.json"
    ),
}


NOTES = (
    *("activations/a.zarr", "components/a-from-b.zarr", "fits/a-from-b", "peers/b-from-a"),
    *("tables/compare.json", "index.html"),
)


@pytest.mark.parametrize("name", NOTES)
def test_a_missing_note_is_named_and_written_again(compared, tmp_path, name):
    out = Path(shutil.copytree(compared[0], tmp_path / "out"))
    note = out / MADE / f"{name}.json"
    note.unlink()
    (line,) = damages_under(out)
    assert line.startswith(f"{note}: missing, though {Path(name).name} exists. Fix: ")
    if name in ("activations/a.zarr", "index.html"):
        assert run(compared[1], out) == []


def test_lists_and_records_of_kc_are_checked_and_those_of_others_are_not(compared, tmp_path):
    out = Path(shutil.copytree(compared[0], tmp_path / "out"))
    record = next((out / "sources").glob("*.json"))
    for file in (out / "kc.json", record):
        kept = file.read_bytes()
        for damaged in (kept[:-7], b"", kept.replace(b"a", b"b", 1)):
            file.write_bytes(damaged)
            lines = damages_under(out)
            assert lines
            assert all(line.startswith(f"{file}: ") for line in lines), lines
        file.write_bytes(kept)
    for name in ("notes/kc.json", "notes/sources/a.json", "notes/logs/run.json"):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text('{"mine": 1}')
    (out / "figures").mkdir()
    (out / "figures/mine.png").write_bytes(b"kc")
    (out / "tables/mine.json").write_text("{}")
    assert damages_under(out) == []


def test_a_figure_without_its_note_is_recognised_by_its_metadata(tmp_path):
    begin_register(tmp_path)
    stem = tmp_path / "figures" / "one"
    write_figure(Figure(), stem)
    assert damages_under(tmp_path) == []
    note = tmp_path / MADE / "figures" / "one.json"
    note.unlink()
    for left in (".png", ".svg"):
        assert damages_under(tmp_path) == [f"{note}: missing, though one exists. Fix: {AGAIN}"]
        stem.with_suffix(left).unlink()
    with pytest.raises(StoreError, match="no store"):
        damages_under(tmp_path)


def test_drawn_pictures_are_noted(tmp_path):
    begin_register(tmp_path)
    drawn = tmp_path / "images" / "birds-source"
    few = Generated(classes=2, images_per_class=4, canvas=32)
    write_generated("cub", few, drawn)
    assert damages_under(tmp_path / "images") == []
    picture = next(drawn.rglob("*.jpg"))
    for damage in (cut, Path.unlink):
        damage(picture)
        (line,) = damages_under(tmp_path / "images")
        assert line.startswith(f"{picture}: ")
    write_generated("cub", few, drawn)
    assert damages_under(tmp_path / "images") == []
    (drawn / "card.json").unlink()
    picture.unlink()
    assert len(damages_under(tmp_path / "images")) == 2
    (drawn / "mine.txt").write_text("not drawn")
    with pytest.raises(StoreError, match=r"kc did not make mine\.txt, and"):
        write_generated("cub", few, drawn)
    (drawn / "mine.txt").unlink()
    write_generated("cub", few, drawn)
    assert damages_under(tmp_path / "images") == []
    note = tmp_path / MADE / "images" / "birds-source.json"
    note.unlink()
    (line,) = damages_under(tmp_path / "images")
    assert line.startswith(f"{note}: missing, though birds-source exists.")
    write_generated("cub", few, drawn)
    assert damages_under(tmp_path / "images") == []


def test_notes_of_a_pair_in_a_results_folder_are_checked(compared, tmp_path):
    begin_register(tmp_path)
    out = Path(shutil.copytree(compared[0], tmp_path / "custom" / "pair"))
    assert damages_under(tmp_path) == []
    shutil.rmtree(out / "fits")
    assert len(damages_under(tmp_path)) == 2


def test_every_damage_of_a_store_that_cannot_be_opened_is_named(compared, tmp_path):
    out = Path(shutil.copytree(compared[0], tmp_path / "out"))
    names = ("image_id/c/0", "subset/c/0", "subset/zarr.json", "b/zarr.json")
    files = [out / f"activations/b.zarr/{name}" for name in names]
    for file in files:
        cut(file)
    lines = damages_under(out)
    assert {line.partition(": ")[0] for line in lines} == set(map(str, files))
    assert all("Fix: " in line for line in lines)


@pytest.mark.parametrize("damage", DAMAGES)
def test_each_damage_is_found(compared, tmp_path, damage):
    out = Path(shutil.copytree(compared[0], tmp_path / "out"))
    DAMAGES[damage](out)
    found = damages_under(out)
    assert found
    assert all("Fix: " in line for line in found)


def test_the_same_command_repairs_what_is_found(compared, tmp_path):
    out = Path(shutil.copytree(compared[0], tmp_path / "out"))
    for damage in (
        *("components wholly removed", "a fit removed", "stores exchanged", "a csv edited"),
        *("an origin edited", "the page cut", "notes exchanged"),
    ):
        DAMAGES[damage](out)
        assert damages_under(out)
        assert run(compared[1], out) == [], damage


def test_removed_figures_and_stores_are_found_unless_removed_on_purpose(tmp_path):
    begin_register(tmp_path)
    rows = pd.DataFrame({"image_id": ["a", "b"]})
    content = StoreContent([ArraySpec("x", ("image", "unit"), (2, 3), "float32")], rows, 2)
    path = tmp_path / "activations" / "net.zarr"
    with StoreWriter(path, "k", content) as writer:
        writer.write(0, {"x": np.ones((2, 3), np.float32)})
        writer.finish()
    assert damages_under(tmp_path) == []
    drop_store(path, ["fit"])
    with Product(tmp_path / "fits" / "f", "k", ["w"]) as product:
        product.start()
        (product.folder / "w").write_bytes(b"x")
        product.finish({}, ["w"])
    assert damages_under(tmp_path) == []
    shutil.rmtree(tmp_path / "fits" / "f")
    (line,) = damages_under(tmp_path)
    assert line.startswith(
        f"{tmp_path / 'fits' / 'f' / 'card.json'}: missing, though the product was"
    )
    # damage of another folder is not reported
    assert damages_under(tmp_path / "fits") == [line]
    with pytest.raises(StoreError, match="no store"):
        damages_under(tmp_path / "activations")


def test_a_folder_with_older_products_without_notes_gets_no_notes(tmp_path):
    (tmp_path / "fits").mkdir()
    begin_register(tmp_path)
    assert not (tmp_path / MADE).exists()
    (tmp_path / "fits").rename(tmp_path / "logs")
    begin_register(tmp_path)
    assert (tmp_path / MADE).is_dir()


@pytest.mark.parametrize("suffix", [".csv", ".md", ".tex"])
def test_no_page_is_made_from_an_edited_table(tmp_path, suffix):
    frame = pd.DataFrame({"layer": ["conv4"], "share": [0.1]})
    write_table(frame, tmp_path / "t", TableText("T", "C.", ["N."]), provenance={"code": "x"})
    assert read_table(tmp_path / "t")["shown"]["rows"] == [["conv4", "0.1"]]
    file = (tmp_path / "t").with_suffix(suffix)
    file.write_text(file.read_text().replace("0.1", "0.7"))
    with pytest.raises(StoreError, match=rf"t{suffix}: not the file that was written.*Fix"):
        read_table(tmp_path / "t")
    file.unlink()
    with pytest.raises(StoreError, match=rf"t{suffix}: no such file. Fix"):
        read_table(tmp_path / "t")
