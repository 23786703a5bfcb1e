"""A small ``kc compare``: write its inputs, run the command, kill it at random moments."""

import shutil
from pathlib import Path
from random import Random

from typer.testing import CliRunner

from kc.cli.main import app
from tests.comparison.noise import write
from tests.faults.children import ask, finish, kill
from tests.faults.compare import believed_and_wrong, differences, files
from tests.faults.kills import Trial

OUT = Path("-my results")
"""A dash in front and a blank: characters that a shell or a parser may misread."""
NETS = """
import torch
from torch import nn


def made(width):
    return nn.Sequential(nn.Conv2d(3, width, 3, stride=2), nn.ReLU(), nn.Conv2d(width, 4, 3))


def narrow():
    return made(4)


def wide():
    return made(6)
"""
COMMAND = (
    *("compare", "--a", "nets.py:narrow", "--b", "nets.py:wide", "--layer-a", "2"),
    *("--layer-b", "2", "--images", "photos", "--labels", "--size", "16", "--epochs", "1"),
    f"--out={OUT}",
)


def lay_out(room: Path) -> None:
    """Write networks and pictures."""
    (room / "nets.py").write_text(NETS)
    write(room / "photos", *(f"{label}/{k:02d}.png" for k in range(30) for label in "xy"))


def run_command() -> None:
    """Run the command in the current folder."""
    found = CliRunner().invoke(app, COMMAND)
    assert found.exit_code == 0, found.output


def kill_and_compare_again(
    whole: dict[str, bytes], room: Path, seconds: float, dice: Random, kills: int
) -> Trial:
    """Kill the command ``kills`` times in a row, let it finish, and compare with ``whole``."""
    shutil.rmtree(room / OUT, ignore_errors=True)
    moments = [dice.uniform(0, seconds) for _ in range(kills)]
    killed, wrong = 0, []
    for moment in moments:
        killed += kill(run_command, room, moment)
        wrong += ask(lambda: believed_and_wrong(room / OUT, whole), room)
    finish(run_command, room)
    different = ask(lambda: differences(files(room / OUT), whole), room)
    return Trial("compare", moments, killed, wrong, different)
