"""Run all benchmarks, each in its own process, and print the table: ``make bench``."""

import os
import subprocess
import sys
import time

from benchmarks.compare import LOAD, results_file, table
from kc.store.files import read_json

NAMES = (
    "record",
    "read",
    "fit_stream",
    "objective",
    "many_fits",
    "components",
    "pickles",
    "memory",
    "entropy",
)


def main() -> int:
    environment = os.environ | {"OMP_NUM_THREADS": "1", LOAD: str(os.getloadavg()[0])}
    failed = []
    for number, name in enumerate(NAMES, start=1):
        begun = time.monotonic()
        print(f"[{number}/{len(NAMES)}] {name} ...", flush=True)
        command = [sys.executable, "-m", f"benchmarks.{name}"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            failed.append(name)
            print(done.stderr[-2000:])
        print(f"[{number}/{len(NAMES)}] {name}: {time.monotonic() - begun:.0f} s", flush=True)
    path = results_file()
    if path.is_file():
        print(table(read_json(path)["rows"]))
        print(f"saved in {path}")
    if failed:
        print(f"failed: {', '.join(failed)}; rows of theirs in the table are of an earlier run")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
