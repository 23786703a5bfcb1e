"""A short campaign (the long one: ``make faults``), and tests that it would detect faults."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import pandas as pd
import pytest

from kc.errors import StoreError
from kc.store import ArraySpec, StoreContent, StoreWriter, open_store
from kc.store.files import file_digest, read_signed, sign, write_json_atomic
from kc.store.product import Product
from tests.faults import everywhere
from tests.faults.compare import believed_and_wrong, differences, files
from tests.faults.damages import Damage, _damage_store, _fault, is_found
from tests.faults.readers import Reader, store_readers

ROOT = Path(__file__).parents[2]
KILLS, DAMAGES, COMPARE_KILLS, FILES = 12, 40, 2, 60


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory):
    """Run the campaign in its own process, since a process that forks must have one thread."""
    out = tmp_path_factory.mktemp("campaign")
    asked = {"kills": KILLS, "workflow": 0, "damages": DAMAGES, "seed": 1, "files": 0}
    asked |= {"compare-kills": COMPARE_KILLS, "compare-files": FILES}
    command = [sys.executable, "-m", "tests.faults.campaign", "--out", str(out / "faults.json")]
    for name, value in asked.items():
        command += [f"--{name}", str(value)]
    environment = os.environ | {"TMPDIR": str(out), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert (out / "faults.json").is_file(), done.stdout + done.stderr
    return json.loads((out / "faults.json").read_text())


@pytest.mark.long
def test_killed_stages_end_with_the_bytes_of_undisturbed_ones(report):
    assert sum(trial["killed"] for trial in report["kills"]) >= KILLS + COMPARE_KILLS
    stages = {trial["stage"] for trial in report["kills"]}
    assert stages >= {"record", "fit", "decompose", "compare"}
    assert [trial for trial in report["kills"] if trial["wrong"] or trial["different"]] == []


@pytest.mark.long
def test_every_damage_is_found_by_verify_and_by_the_readers_that_meet_it(report):
    assert len(report["damages"]) == DAMAGES
    assert [trial for trial in report["damages"] if not is_found(trial)] == []
    kinds = Counter(trial["kind"] for trial in report["damages"])
    assert {"flip", "truncate", "delete", "swap", "edit"} == set(kinds)


@pytest.mark.long
def test_a_damage_of_any_type_of_file_is_named_and_its_printed_fix_repairs_it(report):
    assert len(report["files"]) == FILES
    assert [trial for trial in report["files"] if not trial["named"] or not trial["fixes"]] == []
    kinds = {trial["kind"] for trial in report["files"]}
    assert {"figures: .png", "kc: .json", "notes of fits", "tables: .json", "index: .html"} <= kinds
    assert sum(trial["damages"] for trial in report["mended"]) == FILES
    assert [trial for trial in report["mended"] if trial["left"]] == []


def test_the_campaign_detects_a_missed_damage_and_a_fix_that_does_not_work(tmp_path):
    log = tmp_path / "out" / "notes.txt"
    log.parent.mkdir()
    log.write_text("somebody's own")
    written(log.parent / "a.zarr", np.ones((20, 3, 4, 4), np.float32))
    damage = everywhere.Damage("notes", "cut", {log: b"some"})
    assert not everywhere.look(log.parent, damage)["named"]
    assert log.read_text() == "somebody's own"
    found = everywhere.repair(
        log.parent, [damage], lambda _: None, lambda: files(log.parent), files(log.parent)
    )
    assert found == ["notes.txt"]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    values = np.random.default_rng(0).normal(size=(20, 3, 4, 4)).astype(np.float32)
    return written(tmp_path / "a.zarr", values)


def written(path: Path, values: np.ndarray) -> Path:
    spec = ArraySpec("conv", ("image", "channel", "y", "x"), values.shape, "float32", True)
    rows = pd.DataFrame({"image_id": [f"i{n:02d}" for n in range(len(values))], "label": 0})
    with StoreWriter(path, "k", StoreContent([spec], rows, 8), mend="make it again") as writer:
        for shard in writer.missing():
            writer.write(shard, {"conv": values[writer.rows(shard)]})
        writer.finish()
    return path


def test_the_campaign_detects_a_wrong_shard_with_a_valid_receipt(store: Path, tmp_path: Path):
    expected = files(tmp_path)
    assert believed_and_wrong(tmp_path, expected) == differences(expected, expected) == []
    shard = store / "conv" / "c" / "1" / "0" / "0" / "0"
    shard.write_bytes(b"x" + shard.read_bytes()[1:])
    name = shard.relative_to(tmp_path).as_posix()
    assert believed_and_wrong(tmp_path, expected) == []  # its receipt has another digest
    assert differences(files(tmp_path), expected) == [name]
    path = tmp_path / "a.state" / "receipts" / "000001.json"
    receipt = {k: v for k, v in read_signed(path).items() if k != "checksum"}
    receipt["arrays"]["conv"]["digest"] = file_digest(shard)
    write_json_atomic(path, sign(receipt))
    assert set(believed_and_wrong(tmp_path, expected)) == {
        name,
        path.relative_to(tmp_path).as_posix(),
    }


def test_the_campaign_detects_a_wrong_file_with_a_valid_seal(tmp_path: Path):
    expected = {"net/early": b"1234"}
    with Product(tmp_path / "net", "k") as product:
        product.start()
        expected |= files(tmp_path)
        (tmp_path / "net/early").write_bytes(b"1234")
        product.seal("early")
        assert believed_and_wrong(tmp_path, expected) == []
        (tmp_path / "net/early").write_bytes(b"1235")
        assert believed_and_wrong(tmp_path, expected) == []  # the seal has another digest
        product.seal("early")
        assert believed_and_wrong(tmp_path, expected) == ["net/early"]


def test_only_wall_time_is_not_compared(tmp_path: Path):
    for folder, seconds, share in (("a", 1.0, 0.5), ("b", 2.0, 0.5), ("c", 2.0, 0.6)):
        with Product(tmp_path / folder, "k") as product:
            product.start()
            (product.folder / "w").write_bytes(b"w")
            product.finish({"seconds": seconds, "share": share}, ["w"])
        page = f"<dt>seconds</dt>\n<dd>{seconds}</dd><dt>share</dt><dd>{share}</dd>"
        (tmp_path / folder / "page.html").write_text(page)
    a, b, c = (files(tmp_path / name) for name in "abc")
    assert differences(a, b) == []
    assert differences(b, c) == ["card.json", "page.html", "result.json"]


def test_the_campaign_detects_a_reader_that_accepts_damaged_data(store: Path):
    reader = store_readers(store, ["conv"])["conv: array"]
    truth = reader.read()
    caused = _damage_store(store, "conv", "truncate", Random(0))
    assert _fault(reader, truth, caused) == ""
    blind = Reader(lambda: truth, reader.files)
    assert _fault(blind, truth, caused) == "unfound"
    assert _fault(Reader(lambda: truth + 1, reader.files), truth, caused) == "wrong"

    def unclear() -> None:
        raise StoreError("something is wrong somewhere")

    assert _fault(Reader(unclear, reader.files), truth, caused) == "unfound"
    elsewhere = Damage("flip", "bookkeeping", [store.with_suffix(".state") / "key.json"])
    assert _fault(blind, truth, elsewhere) == ""


@pytest.mark.parametrize(
    "damaged",
    [
        "a.zarr/zarr.json",
        "a.zarr/conv/zarr.json",
        "a.zarr/label/c/0",
        "a.zarr/image_id/zarr.json",
        "a.zarr/conv/c/1/0/0/0",
        "a.state/receipts/000002.json",
        "a.state/key.json",
    ],
)
@pytest.mark.parametrize("how", ["flip", "delete"])
def test_the_printed_command_repairs_and_accepts_no_damaged_file(
    store: Path, tmp_path: Path, damaged: str, how: str
):
    """Do what Snakemake's --force does: the manifest is removed and the writer continues."""
    values = open_store(store)["conv"][:]
    expected, file = files(tmp_path), tmp_path / damaged
    if how == "delete":
        file.unlink()
    else:
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    store.with_suffix(".json").unlink()
    written(store, values)
    assert files(tmp_path) == expected


def test_a_store_copied_without_its_bookkeeping_is_valid(store: Path):
    shutil.rmtree(store.with_suffix(".state"))
    assert open_store(store).verify() == []
