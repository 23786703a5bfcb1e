"""What rows of features are called: a text of ids, one a line."""

from contextlib import suppress
from pathlib import Path

import numpy as np

from kc.errors import FeatureError
from kc.plans.commands import command

LONGEST = 4096
"""Characters of an id; a path has no more. A table of ids is as wide as the longest."""


def read_ids(file: Path) -> np.ndarray:
    """Read the ids of a file; the last line may be without an end.

    Raises
    ------
    FeatureError
        No such file, no text in UTF-8, or a line that can be no id, such as an empty one.
    """
    if not file.is_file():
        raise FeatureError(f"{file}: no such file; expected ids, one a line. Fix: mend --ids.")
    try:
        # a byte order mark, which Windows writes, is no part of the first id
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except (UnicodeDecodeError, OSError) as error:
        raise FeatureError(
            f"{file}: not readable as text in UTF-8 ({error}). Fix: save the ids as UTF-8, such "
            f"as by {command('iconv', '-f', _likely(file), '-t', 'UTF-8', str(file))} > ids.txt"
        ) from error
    lines = lines[:-1] if lines[-1] == "" else lines
    for count, line in enumerate(lines, 1):
        if not line.strip():
            raise FeatureError(
                f"{file}: line {count} is empty; expected an id on each of the {len(lines)} lines. "
                "Fix: mend --ids."
            )
        if len(line) > LONGEST or "\0" in line:
            raise FeatureError(
                f"{file}: line {count} is no id: it has {len(line):,} characters, or a NUL among "
                f"them; expected at most {LONGEST:,}, one id a line. Fix: mend --ids; where each "
                "second one is a NUL, it is UTF-16, to be saved as UTF-8."
            )
    return np.array(lines, object)


def _likely(file: Path) -> str:
    """Guess an encoding for a command: by the mark UTF-16 begins with, else Western Europe's."""
    with suppress(OSError), file.open("rb") as opened:
        return "UTF-16" if opened.read(2) in (b"\xff\xfe", b"\xfe\xff") else "LATIN1"
    return "LATIN1"
