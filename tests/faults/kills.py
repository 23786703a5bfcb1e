"""Kill stages at random moments, run them again, and compare with an undisturbed run."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import NamedTuple

from tests.faults.children import ask, finish, kill
from tests.faults.compare import believed_and_wrong, differences, files
from tests.faults.world import Stage


class Trial(NamedTuple):
    """One stage, killed at least once, then run to its end."""

    stage: str
    moments: list[float]
    """Processor seconds after which it was killed, for each attempt."""
    killed: int
    """Number of kills that came before the end of the stage."""
    wrong: list[str]
    """Wrong files that a reader would have accepted in between."""
    different: list[str]
    """Files that differ from those of the undisturbed run."""


def lay_out(stage: Stage, world: Path, trial: Path) -> None:
    """Provide the inputs of a stage: copies of what it may write to, links to the rest."""
    for name in (*stage.reads, *stage.continues):
        target = trial / "results" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if name in stage.continues:
            shutil.copytree(world / "results" / name, target)
        else:
            target.symlink_to(world / "results" / name)


def durations(stages: Mapping[str, Stage], world: Path, room: Path) -> dict[str, float]:
    """Run each stage undisturbed, compare it with the world, and return its processor seconds."""
    found = {}
    for name, stage in stages.items():
        trial = room / f"undisturbed-{name}"
        lay_out(stage, world, trial)
        found[name] = finish(stage.run, trial)
        different = ask(lambda s=stage, t=trial: _different(s, world, t), trial)
        assert different == [], f"{name}: two undisturbed runs differ in {different}"
        shutil.rmtree(trial)
    return found


def kill_and_continue(
    name: str, stage: Stage, world: Path, room: Path, seconds: float, dice: Random, kills: int
) -> Trial:
    """Kill a stage ``kills`` times in a row, then let it finish."""
    trial = room / "killed"
    lay_out(stage, world, trial)
    moments = [dice.uniform(0, seconds) for _ in range(kills)]
    killed, wrong = 0, []
    for moment in moments:
        killed += kill(stage.run, trial, moment)
        wrong += ask(lambda: _wrong(stage, world, trial), trial)
    finish(stage.run, trial)
    different = ask(lambda: _different(stage, world, trial), trial)
    shutil.rmtree(trial)
    return Trial(name, moments, killed, wrong, different)


def _wrong(stage: Stage, world: Path, trial: Path) -> list[str]:
    return [
        f"{name}/{file}"
        for name in stage.makes
        for file in believed_and_wrong(trial / "results" / name, files(world / "results" / name))
    ]


def _different(stage: Stage, world: Path, trial: Path) -> list[str]:
    return [
        f"{name}/{file}"
        for name in (*stage.makes, *stage.continues)
        for file in differences(files(trial / "results" / name), files(world / "results" / name))
    ]
