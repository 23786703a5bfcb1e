"""The order of the tests, and an object store on the loopback interface that speaks S3."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

# before torch is imported: with two threads a process, weights differ and all takes twice as long
os.environ.setdefault("OMP_NUM_THREADS", "1")
CPU = Path("/proc/cpuinfo")
if CPU.is_file() and "avx512" not in CPU.read_text():
    # as kc.runtime.keep_from_broken_kernels does
    os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX")

TESTS = Path(__file__).parent
LONGEST = (
    "workflow/test_slurm.py",
    "workflow/test_slurm_short.py",
    "workflow/test_runs.py",
    "comparison/test_real.py",
    "faults/test_campaign.py",
    "faults/test_workflow.py",
)
"""Minutes each, so they begin first: one that began last would leave all other processes idle."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; each runs in one process (make test), its fixtures made once."""
    places = {TESTS / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory):
    """Return ``made_once(name, make)``: a folder that one worker makes and all read."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent

    def shared(name: str, make: Callable[[Path], None]) -> Path:
        folder, done = root / name, root / f"{name}.done"
        with FileLock(root / f"{name}.lock"):
            if not done.exists():
                folder.mkdir()
                make(folder)
                done.touch()
        return folder

    return shared


@pytest.fixture(scope="session")
def service():
    pytest.importorskip("moto", reason="moto, the S3 server of these tests, is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).parent / "moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            assert server.poll() is None
            try:
                urllib.request.urlopen(url, timeout=5).close()
                break
            except urllib.error.URLError:
                time.sleep(0.1)
        yield url
    finally:
        server.terminate()
        server.wait()


@pytest.fixture
def bucket(service, monkeypatch, request):
    """Give a fresh prefix in a bucket."""
    about = {"ENDPOINT_URL": service, "ALLOW_HTTP": "true", "REGION": "us-east-1"}
    about |= {"ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret"}
    for name, value in about.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    urllib.request.urlopen(urllib.request.Request(f"{service}/stores", method="PUT")).close()
    return f"s3://stores/{os.getpid()}/{request.node.name}"
