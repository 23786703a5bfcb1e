"""Cause faults by the hundred: ``python -m tests.faults.campaign --kills 200 --damages 500``.

Prints a table and keeps a JSON with every fault caused; ends with 1 if one was not borne.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before torch: a forked process may have one thread only

from tests.faults import children, damages, kills, workflow, world

TOGETHER = 20
"""Damages looked at by one child."""


def main() -> int:
    """Run the campaign."""
    asked = _asked()
    begun = time.monotonic()
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
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("results-faults/faults.json"))
    parser.add_argument("--room", type=Path, default=None, help="folder for what is broken")
    return parser.parse_args()


def _campaign(asked: argparse.Namespace, room: Path) -> dict[str, Any]:
    world.warm_up()
    made = room / "world"
    made.mkdir()
    children.finish(world.make_world, made)
    report: dict[str, Any] = {"seed": asked.seed, "kills": [], "damages": []}
    dice = Random(asked.seed)
    if asked.kills:
        report["undisturbed"] = seconds = kills.durations(world.STAGES, made, room)
        names = list(world.STAGES)
        done = 0
        while done < asked.kills:
            name = names[len(report["kills"]) % len(names)]
            # now and then what goes on is killed too
            count = 1 if dice.random() < 0.7 else dice.choice([2, 3])
            trial = kills.kill_and_go_on(
                name, world.STAGES[name], made, room, seconds[name], dice, count
            )
            done += trial.killed
            report["kills"].append(trial._asdict())
            _keep(report, asked.out)
            _tell(f"{done} of {asked.kills} kills")
    if asked.workflow:
        report["kills"].append(workflow.kill_workflow(room, dice, asked.workflow))
    while (left := asked.damages - len(report["damages"])) > 0:
        report["damages"] += damages.damage_and_read(made, room, dice, min(left, TOGETHER))
        _keep(report, asked.out)  # a long campaign that is stopped has told what it saw
        _tell(f"{asked.damages - left} of {asked.damages} damages")
    report["borne"] = all(
        not trial["wrong"] and not trial["different"] for trial in report["kills"]
    ) and all(damages.is_found(trial) for trial in report["damages"])
    return report


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
    lines.append("all borne" if report["borne"] else "NOT ALL BORNE: see the JSON")
    return "\n".join(lines)


def _tell(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{text}")


if __name__ == "__main__":
    sys.exit(main())
