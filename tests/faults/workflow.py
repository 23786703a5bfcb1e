"""Kill the real workflow, all of its processes at once, like a power loss of a node."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

import yaml

from kc.plans.commands import AGAIN
from tests.faults.children import ask
from tests.faults.compare import differences, files
from tests.faults.world import SETTINGS

ROOT = Path(__file__).parents[2]
SMOKE = "results-smoke"
"""Results folder of the preset smoke."""


def kill_workflow(room: Path, dice: Random, kills: int) -> dict[str, Any]:
    """Run undisturbed; then kill ``kills`` times, unlock, continue, and compare."""
    whole, torn = room / "workflow", room / "workflow-killed"
    begun = time.monotonic()
    _run(whole)
    seconds = time.monotonic() - begun
    moments = [dice.uniform(0.1, 0.9) * seconds / kills for _ in range(kills)]
    killed = sum(_kill(torn, moment) for moment in moments)
    _run(torn)
    found = ask(lambda: differences(products(torn / "results"), products(whole / "results")), room)
    for folder in (whole, torn):
        shutil.rmtree(folder)
    return {
        "stage": "workflow",
        "moments": moments,
        "killed": killed,
        "wrong": [],
        "different": found,
    }


def products(results: Path) -> dict[str, bytes]:
    """Read the products of a run in comparable form, without logs."""
    found = files(results)
    return {name: content for name, content in found.items() if not name.startswith("logs/")}


def run_smoke(folder: Path) -> None:
    """Run the preset smoke in a folder."""
    folder.mkdir(exist_ok=True)
    preset = ROOT / "workflow" / "presets" / "smoke.yaml"
    command = [
        *(sys.executable, "-m", "snakemake", "--cores", "1", "--quiet", "rules"),
        *("--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)),
        *("--configfile", str(preset)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def run_fix(folder: Path, fix: str) -> None:
    """Run a printed fix in a shell in another folder."""
    if fix == AGAIN:
        run_smoke(folder)
        return
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = ["bash", "-c", fix]
    subprocess.run(
        command,
        cwd=folder.parent,
        env=os.environ | {"PATH": path},
        capture_output=True,
        check=False,
    )


def _command(folder: Path, *more: str) -> list[str]:
    folder.mkdir(exist_ok=True)
    given = {name: SETTINGS[name] for name in SETTINGS if name not in ("results", "device")}
    config = folder / "tiny.yaml"
    config.write_text(yaml.safe_dump(given | {"results": "results", "device": "cpu"}))
    return [
        *(sys.executable, "-m", "snakemake", "stability", "--cores", "1", "--quiet", "rules"),
        *("--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)),
        *("--configfile", str(config), *more),
    ]


def _run(folder: Path) -> None:
    if (folder / ".snakemake").exists():
        subprocess.run(_command(folder, "--unlock"), check=True, capture_output=True, cwd=ROOT)
    done = subprocess.run(_command(folder), capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def _kill(folder: Path, seconds: float) -> bool:
    """Start the workflow (unlocked), kill its session, and return whether it still ran."""
    if (folder / ".snakemake").exists():
        subprocess.run(_command(folder, "--unlock"), check=True, capture_output=True, cwd=ROOT)
    process = subprocess.Popen(
        _command(folder),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
    )
    time.sleep(seconds)
    ran = process.poll() is None
    kill_session(process)
    return ran


def kill_session(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL all processes of a session."""
    # scripts may have their own process groups, but they stay in this session
    while members := _session(process.pid):
        for pid in members:
            os.kill(pid, signal.SIGKILL)
        process.poll()
        time.sleep(0.05)
    process.wait()


def _session(leader: int) -> list[int]:
    """List the living processes of a session."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == leader and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found
