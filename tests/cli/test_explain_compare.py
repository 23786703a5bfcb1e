"""``kc explain`` on the tables of ``kc compare``."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from kc.cli.main import app
from kc.store import open_store


def run(*words: object) -> tuple[int, str]:
    found = CliRunner().invoke(app, [str(word) for word in words])
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    return found.exit_code, found.output


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    room = tmp_path_factory.mktemp("made")
    rng = np.random.default_rng(0)
    for name in "ab":
        np.savez(room / f"{name}.npz", x=rng.normal(size=(60, 4)), y=rng.normal(size=(60, 3)))
    given = ("--a", room / "a.npz", "--b", room / "b.npz", "--epochs", 1, "--out")
    of_one = ("--layer-a", "x", "--layer-b", "x", "--no-ladder")
    for out, more in (("pair", of_one), ("matrix", ("--layers", "all", "--fits", "all"))):
        code, text = run("compare", *given, room / out, *more)
        assert code == 0, text
    return room


@pytest.fixture
def here(made, tmp_path):
    """Copy the output, which may be damaged; the features stay in place."""
    for name in ("pair", "matrix"):
        shutil.copytree(made / name, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("table", ["pair/tables/compare.csv", "pair/tables/peers.md"])
def test_an_undamaged_chain_reaches_the_files_of_the_user(here, made, table):
    code, text = run("explain", here / table)
    assert code == 0, text
    assert "every link holds" in text
    for line in ("fits b-from-a  ok", "activations a  ok", "peers a-from-b  ok"):
        assert line in text
    assert f"images {made / 'b.npz'}  ok" in text


def test_every_fit_of_a_matrix_is_a_link(here):
    code, text = run("explain", here / "matrix/tables/matrix.csv")
    assert code == 0, text
    assert text.count("fits ") == 8
    fit = next((here / "matrix/fits").glob("a.x-from-b.y"))
    shutil.rmtree(fit)
    code, text = run("explain", here / "matrix/tables/matrix.csv")
    assert code == 1
    assert f"fits {fit.name}  missing" in text


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


@pytest.mark.parametrize(
    ("damaged", "line"),
    [
        ("tables/compare.tex", "tables compare  changed  "),
        ("fits/a-from-b/g.safetensors", "fits a-from-b  changed  g.safetensors missing or not"),
        ("fits/a-from-b/card.json", "fits a-from-b  changed  "),
        ("activations/a.zarr/x/c/0/0", "activations a  changed  "),
        ("activations/b.json", "activations b  changed  "),
        ("peers/b-from-a/peers.csv", "peers b-from-a  changed  peers.csv missing or not"),
    ],
)
def test_a_link_that_does_not_hold_is_named_with_its_fix(here, damaged, line):
    cut(here / "pair" / damaged)
    code, text = run("explain", here / "pair/tables/compare.csv")
    assert code == 1
    assert line in text
    assert "run the command that made it again" in text.splitlines()[-1]


def test_a_store_that_was_made_again_is_stale(here):
    for suffix in (".zarr", ".json", ".state"):
        target = here / f"pair/activations/a{suffix}"
        shutil.rmtree(target) if target.is_dir() else target.unlink()
        source = here / f"pair/activations/b{suffix}"
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    digest = open_store(here / "pair/activations/a.json").digest[:8]
    code, text = run("explain", here / "pair/tables/compare.csv")
    assert code == 1
    assert "tables compare  stale  made from activations a" in text
    assert f"which is {digest} now" in text


def test_features_that_changed_since_are_named(made, here):
    kept = (made / "a.npz").read_bytes()
    try:
        np.savez(made / "a.npz", x=np.zeros((60, 4)), y=np.zeros((60, 3)))
        code, text = run("explain", here / "pair/tables/compare.csv")
        assert code == 1
        assert f"images {made / 'a.npz'}  changed  not what was read" in text
        assert run("explain", "--quick", here / "pair/tables/compare.csv")[0] == 0
        (made / "a.npz").unlink()
        assert "missing  not there now" in run("explain", here / "pair/tables/compare.csv")[1]
    finally:
        (made / "a.npz").write_bytes(kept)
