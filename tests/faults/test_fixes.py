"""The same command restores what is missing from a finished ``kc compare``, byte for byte.

:mod:`tests.faults.test_campaign` damages each type of file.
"""

import shutil
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import pytest

from kc.comparison import compare, read_network
from kc.comparison import write_pair as comparison
from kc.comparison.settings import CompareSettings
from kc.store.verify import damages_under
from tests.faults.compare import differences, files
from tests.faults.compared import OUT, lay_out, run_command

GONE = ("components/a-from-b.zarr", "activations/a.zarr", "fits/b-from-a", "peers/a-from-b")
SETTINGS = CompareSettings.model_validate(
    {"size": 16, "labels": True, "consistency": {"optimiser": {"epochs": 1}}}
)


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def remove(file: Path) -> None:
    shutil.rmtree(file) if file.is_dir() else file.unlink()


def compare_again() -> None:
    """Run what the command does before it writes tables and pictures."""
    a, b = read_network("nets.py:narrow", None, 0), read_network("nets.py:wide", None, 1)
    compare(a, b, "2", "2", "photos", OUT, SETTINGS)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Iterator[dict[str, bytes]]:
    """Enter a folder with a finished comparison, and return the bytes of its files."""
    room = tmp_path_factory.mktemp("it's a room")
    lay_out(room)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(room)
        for name in ("FILTERS", "IMAGES"):
            patch.setattr(comparison, name, 1)
        run_command()
        yield files(OUT)


def test_deleted_products_are_made_again(whole):
    for name in GONE:
        remove(OUT / name)
    lines = damages_under(OUT)
    assert any("components/a-from-b" in line for line in lines)
    assert any("activations/a" in line for line in lines)
    compare_again()
    assert differences(files(OUT), whole) == []


def test_the_command_repairs_every_damage_and_writes_the_same_page(whole):
    cut(OUT / "components/a-from-b.zarr/component/c/0/0/0/0/0")
    flip(OUT / "components/b-from-a.zarr/component/c/0/0/0/0/0")
    for folder in ("tables", "figures", "index_files"):
        made = sorted((OUT / folder).iterdir())
        for way, file in zip(cycle((flip, cut, remove)), made, strict=False):
            way(file)
    cut(OUT / "index.html")
    run_command()
    assert differences(files(OUT), whole) == []
