"""Run the workflow on a disk that fills, and with stores in a bucket: the bytes are the same.

Pictures and networks are made once; each test continues from there.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import obstore
import pytest
from obstore.store import S3Store

from kc.names import folder_id
from kc.store import open_store
from kc.store.verify import damages_under
from tests.faults.compare import believed_and_wrong, differences, files
from tests.faults.test_disk_full import leave, mounted
from tests.faults.workflow import kill_session, products

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]  # minutes on a busy machine
ROOT = Path(__file__).parents[2]
TINY = """
results: out
device: cpu
datasets: {birds: {size: 32, generated: {classes: 3, images_per_class: 40, canvas: 48}}}
networks: {resnet18: {width: 0.25}}
training: {epochs: 1, batch_size: 8, learning_rate: 0.01}
activations: {shard_rows: 8}
consistency: {order: 0, optimiser: {epochs: 1, batch_size: 8}}
stability:
  layers: {resnet18: [layer1.1.add]}
  seeds: [0, 1]
  half_splits: 0
  half_images: false
  controls: none
"""
NETWORKS = [f"out/networks/birds-resnet18-seed{seed}/card.json" for seed in (0, 1)]


def command(folder: Path, *arguments: str) -> list[str]:
    """Return the command of a run in a folder, with the settings ``TINY``."""
    (folder / "tiny.yaml").write_text(TINY)
    return [
        *(sys.executable, "-m", "snakemake", *arguments, "--cores", "1"),
        *("--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)),
        *("--configfile", str(folder / "tiny.yaml")),
    ]


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command(folder, *arguments),
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def text_of(done: subprocess.CompletedProcess[str]) -> str:
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def begun(tmp_path_factory) -> Path:
    """Make pictures and networks."""
    folder = tmp_path_factory.mktemp("begun")
    done = run(folder, *NETWORKS)
    assert done.returncode == 0, text_of(done)
    return folder


@pytest.fixture(scope="module")
def whole(begun: Path, tmp_path_factory) -> Path:
    """Continue undisturbed."""
    folder = tmp_path_factory.mktemp("it's whole")
    shutil.copytree(begun, folder, dirs_exist_ok=True)
    done = run(folder, "stability")
    assert done.returncode == 0, text_of(done)
    return folder


def test_a_run_that_does_not_fit_is_refused_and_one_that_fills_the_disk_can_continue(
    begun: Path, whole: Path, tmp_path: Path
):
    with mounted(tmp_path, megabytes=16) as disk:
        shutil.copytree(begun, disk, dirs_exist_ok=True)
        stores = sum(len(content) for content in files(whole / "out/activations").values())
        ballast = leave(disk, stores // 2)

        refused = run(disk, "stability")
        assert refused.returncode == 1
        assert text_of(refused).count("too little. Fix: free space; or drop stores") == 1
        assert "Traceback" not in text_of(refused)
        assert not (disk / "out/activations").exists()

        unchecked = ("stability", "--config", "storage={check_disk: false}")
        full = run(disk, *unchecked)
        assert full.returncode == 1
        assert text_of(full).count("StoreError: out/activations/") == 1
        assert text_of(full).count("no space left on the disk") == 1
        assert "Traceback" not in text_of(full)
        assert list((disk / "out/activations").glob("*.state/receipts/*.json"))
        assert not (disk / "out/fits").exists()
        assert believed_and_wrong(disk / "out", products(whole / "out")) == []

        ballast.unlink()
        done = run(disk, *unchecked)
        assert done.returncode == 0, text_of(done)
        assert differences(products(disk / "out"), products(whole / "out")) == []


def test_the_command_that_verify_prints_repairs_damaged_components(whole: Path, tmp_path: Path):
    """Snakemake alone does not notice, since the manifests of a fit are unchanged."""
    kept = products(whole / "out")
    store = next((whole / "out/components").glob("*.zarr"))
    shard = next(file for file in (store / "component").rglob("c/**/*") if file.is_file())
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    assert "Nothing to be done" in text_of(run(whole, "stability"))
    lines = damages_under(whole / "out")
    assert len(lines) == 1, "\n".join(lines)
    (line,) = lines
    assert str(shard) in line
    fix = line.partition("Fix: ")[2]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", fix],
        cwd=tmp_path,
        env=os.environ | {"PATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, fix + text_of(done)
    assert differences(products(whole / "out"), kept) == []
    assert damages_under(whole / "out") == []
    assert "Nothing to be done" in text_of(run(whole, "stability"))


def test_a_killed_run_to_a_bucket_continues_and_makes_the_tables_of_a_local_run(
    begun: Path, whole: Path, bucket: str, tmp_path: Path
):
    shutil.copytree(begun, tmp_path, dirs_exist_ok=True)
    there = S3Store.from_url(bucket)
    away = ("stability", "--config", f"storage={{root: '{bucket}'}}")

    def receipts() -> set[str]:
        found = {each["path"] for batch in obstore.list(there) for each in batch}
        return {path for path in found if "/receipts/" in path}

    process = subprocess.Popen(command(tmp_path, *away), start_new_session=True, cwd=ROOT)
    while process.poll() is None and len(receipts()) < 3:
        time.sleep(0.02)
    assert process.poll() is None
    kill_session(process)
    left = receipts()
    assert not list((tmp_path / "out/activations").glob("*.json"))

    assert run(tmp_path, *away, "--unlock").returncode == 0
    done = run(tmp_path, *away)
    assert done.returncode == 0, text_of(done)
    log = (tmp_path / "out/logs/activations/birds-resnet18.log").read_text()
    recorded = [int(n) for n in re.findall(r": (\d+) of \d+ shards to record", log)[-2:]]
    every = [path for path in receipts() if "/activations/" in path]
    assert sum(recorded) == len(every) - len(left)

    assert not list((tmp_path / "out").glob("*/*.zarr/layer1*"))
    for kind in ("activations", "components"):
        local = sorted((whole / "out" / kind).glob("*.json"))
        assert local
        for manifest in local:
            store = open_store(tmp_path / "out" / kind / manifest.name, network=True)
            assert store.path.startswith(f"{bucket}/{folder_id(tmp_path / 'out')}/{kind}/")
            assert store.digest == open_store(manifest).digest
            assert store.verify() == []
    made = [
        name
        for name in products(whole / "out")
        if name.startswith(("fits/", "tables/", "figures/"))
    ]
    assert (
        differences(*({n: products(f / "out")[n] for n in made} for f in (tmp_path, whole))) == []
    )
    assert "Nothing to be done" in text_of(run(tmp_path, *away))
