"""Test ``kc compare`` with random inputs.

python -m tests.fuzz.run --seconds 3600
python -m tests.fuzz.run --first 7 --count 1 --show
"""

import argparse
import logging
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz import inputs, judge


def one(number: int) -> tuple[int, list[str], str]:
    """Run a case; return its exit code, its faults and its output."""
    with tempfile.TemporaryDirectory() as room:
        case = inputs.draw(number, Path(room))
        code, said = judge.run(case)
        return code, judge.faults(case, code, said), f"{' '.join(case.arguments)}\n{said}"


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    """Run cases until the time or the count is over, and print those with faults."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--first", type=int, default=0)
    asked.add_argument("--count", type=int, default=10**9)
    asked.add_argument("--seconds", type=float, default=float("inf"))
    asked.add_argument("--show", action="store_true", help="print the output of every case")
    given = asked.parse_args()
    logging.disable(logging.WARNING)
    begun, ends, wrong, number = time.monotonic(), {0: 0, 2: 0}, 0, given.first
    while number < given.first + given.count and time.monotonic() - begun < given.seconds:
        at = time.monotonic()
        try:
            code, found, said = one(number)
        except Exception as error:  # a fault of the judge itself
            code, found, said = -1, [f"judge: {type(error).__name__}: {error}"], ""
        ends[code] = ends.get(code, 0) + 1
        wrong += bool(found)
        if found or given.show:
            took = time.monotonic() - at
            _print(f"case {number}: {code} in {took:.1f} s: {'; '.join(found)}")
        if given.show:
            _print(said)
        number += 1
    took = time.monotonic() - begun
    _print(f"{number - given.first} cases in {took:.0f} s: {ends}; {wrong} with faults")


if __name__ == "__main__":
    main()
