"""Cause faults by the hundred: ``python -m tests.faults.campaign --kills 200 --damages 500``.

Kill the steps, the whole workflow and ``kc compare``. Damage stores and products, and read them in
every way. Damage every type of file that a run leaves, and run the printed fixes.

Print a table and write a JSON with every fault caused; exit with 1 if kc did not survive one.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before torch: a forked process may have one thread only

from kc.plans.commands import AGAIN
from kc.store.verify import damages_under
from tests.faults import children, compared, damages, everywhere, kills, workflow, world
from tests.faults.compare import files

TOGETHER = 20
"""Damages that one child process checks."""


def main() -> int:
    """Run the campaign."""
    asked = _asked()
    begun = time.monotonic()
    if asked.room:
        asked.room.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="kc-faults-", dir=asked.room) as room:
        report = _campaign(asked, Path(room))
    report["seconds"] = round(time.monotonic() - begun, 1)
    _keep(report, asked.out)
    sys.stdout.write(_table(report) + "\n")
    return 0 if report["borne"] else 1


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--workflow", type=int, default=4, help="kills of the whole workflow")
    parser.add_argument("--damages", type=int, default=500)
    parser.add_argument("--compare-kills", type=int, default=80, help="kills of kc compare")
    parser.add_argument("--files", type=int, default=500, help="damages of files of a run")
    parser.add_argument("--compare-files", type=int, default=200, help="those of kc compare")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("results-faults/faults.json"))
    parser.add_argument("--room", type=Path, default=None, help="folder for the damaged files")
    return parser.parse_args()


def _campaign(asked: argparse.Namespace, room: Path) -> dict[str, Any]:
    world.warm_up()
    report: dict[str, Any] = {"seed": asked.seed}
    report |= {name: [] for name in ("kills", "damages", "files", "mended")}
    dice = Random(asked.seed)
    _of_steps(asked, room, dice, report)
    _of_compare(asked, room, dice, report)
    _of_workflow(asked, room, dice, report)
    report["borne"] = (
        all(not trial["wrong"] and not trial["different"] for trial in report["kills"])
        and all(damages.is_found(trial) for trial in report["damages"])
        and all(trial["named"] and trial["fixes"] for trial in report["files"])
        and not any(trial["left"] for trial in report["mended"])
    )
    return report


def _of_steps(asked: argparse.Namespace, room: Path, dice: Random, report: dict[str, Any]) -> None:
    """Kill the steps and the workflow, and damage the files the steps make."""
    if asked.workflow:
        report["kills"].append(workflow.kill_workflow(room, dice, asked.workflow))
    if not asked.kills and not asked.damages:
        return
    made = room / "world"
    made.mkdir()
    children.finish(world.make_world, made)
    if asked.kills:
        report["undisturbed"] = seconds = kills.durations(world.STAGES, made, room)
        names = list(world.STAGES)
        done = 0
        while done < asked.kills:
            name = names[len(report["kills"]) % len(names)]
            # sometimes the continued run is killed too
            count = 1 if dice.random() < 0.7 else dice.choice([2, 3])
            trial = kills.kill_and_continue(
                name, world.STAGES[name], made, room, seconds[name], dice, count
            )
            done += trial.killed
            report["kills"].append(trial._asdict())
            _keep(report, asked.out)
            _show(f"{done} of {asked.kills} kills")
    while (left := asked.damages - len(report["damages"])) > 0:
        report["damages"] += damages.damage_and_read(made, room, dice, min(left, TOGETHER))
        _keep(report, asked.out)  # so that an interrupted campaign has its results
        _show(f"{asked.damages - left} of {asked.damages} damages")


def _of_compare(
    asked: argparse.Namespace, room: Path, dice: Random, report: dict[str, Any]
) -> None:
    """Kill ``kc compare``, and damage the files it makes."""
    if not asked.compare_kills and not asked.compare_files:
        return
    place = room / "compared"
    place.mkdir()
    compared.lay_out(place)
    children.finish(compared.run_command, place)
    made = place / "made"
    (place / compared.OUT).rename(made)
    seconds = children.finish(compared.run_command, place)
    whole = files(place / compared.OUT)
    done = 0
    while done < asked.compare_kills:
        count = 1 if dice.random() < 0.7 else 2
        trial = compared.kill_and_compare_again(whole, place, seconds, dice, count)
        done += trial.killed
        report["kills"].append(trial._asdict())
        _keep(report, asked.out)
        _show(f"{done} of {asked.compare_kills} kills of kc compare")
    shutil.rmtree(made)
    again = partial(children.finish, compared.run_command, place)
    _damage(place / compared.OUT, asked.compare_files, dice, lambda _: again(), report, asked.out)


def _of_workflow(
    asked: argparse.Namespace, room: Path, dice: Random, report: dict[str, Any]
) -> None:
    """Damage the files that a run of the workflow makes."""
    if asked.files:
        place = room / "smoke"
        workflow.run_smoke(place)
        run = partial(workflow.run_fix, place)
        _damage(place / workflow.SMOKE, asked.files, dice, run, report, asked.out)


def _damage(
    folder: Path,
    count: int,
    dice: Random,
    run: Callable[[str], object],
    report: dict[str, Any],
    out: Path,
) -> None:
    if not count:
        return
    assert children.ask(partial(damages_under, folder), folder.parent) == []
    whole = workflow.products(folder)
    caused = list(islice(everywhere.damages(everywhere.kinds_under(folder, dice), dice), count))
    found: list[dict[str, Any]] = []
    for begin in range(0, count, TOGETHER):
        some = caused[begin : begin + TOGETHER]
        looked = partial(lambda each: [everywhere.look(folder, one) for one in each], some)
        found += children.ask(looked, folder.parent)
        _show(f"{len(found)} of {count} files damaged in {folder.name}")
    report["files"] += found
    _keep(report, out)
    for fix, batch in everywhere.batches(caused, [each["fixes"] for each in found]):
        left = everywhere.repair(folder, batch, run, partial(workflow.products, folder), whole)
        report["mended"].append({"fix": fix, "damages": len(batch), "left": left[:5]})
        _keep(report, out)
        _show(f"{sum(each['damages'] for each in report['mended'])} damages repaired")
        if left:  # the next batch begins with an undamaged folder
            run(AGAIN)


def _keep(report: dict[str, Any], out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, indent=1) + "\n")


def _table(report: dict[str, Any]) -> str:
    lines = [f"seed {report['seed']}, {report['seconds']} s"]
    if report["kills"]:
        lines.append(f"{'stage':12}{'kills':>8}{'trials':>8}{'identical':>11}{'wrongly good':>14}")
        for stage in dict.fromkeys(trial["stage"] for trial in report["kills"]):
            own = [trial for trial in report["kills"] if trial["stage"] == stage]
            same = sum(not trial["different"] for trial in own)
            wrong = sum(len(trial["wrong"]) for trial in own)
            killed = sum(trial["killed"] for trial in own)
            lines.append(f"{stage:12}{killed:8}{len(own):8}{same:11}{wrong:14}")
    if report["damages"]:
        lines.append(f"{'damage':34}{'caused':>8}{'verify':>8}{'readers':>9}{'wrong':>7}")
        by_kind = Counter((t["kind"], t["part"]) for t in report["damages"])
        for (kind, part), count in sorted(by_kind.items()):
            own = [t for t in report["damages"] if (t["kind"], t["part"]) == (kind, part)]
            verified = sum(t["verified"] for t in own)
            read = sum(not t["unfound"] for t in own)
            wrong = sum(bool(t["wrong"]) for t in own)
            lines.append(f"{kind + ' ' + part:34}{count:8}{verified:8}{read:9}{wrong:7}")
    if report["files"]:
        lines.append(f"{'file':34}{'caused':>8}{'named':>8}")
        for kind in dict.fromkeys(trial["kind"] for trial in report["files"]):
            own = [trial for trial in report["files"] if trial["kind"] == kind]
            named = sum(trial["named"] and bool(trial["fixes"]) for trial in own)
            lines.append(f"{kind:34}{len(own):8}{named:8}")
        whole = sum(trial["damages"] for trial in report["mended"] if not trial["left"])
        runs = len(report["mended"])
        lines.append(f"of {len(report['files'])}, repaired by {runs} runs of a fix: {whole}")
    lines.append("all survived" if report["borne"] else "NOT ALL SURVIVED: see the JSON")
    return "\n".join(lines)


def _show(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{text}")


if __name__ == "__main__":
    sys.exit(main())
