"""Read the ids of rows of features from a text file, one id on each line."""

from contextlib import suppress
from pathlib import Path

import numpy as np

from kc.errors import FeatureError
from kc.plans.commands import command

LONGEST = 4096
"""Most characters of an id; a path has no more. A column of ids is as wide as the longest."""


def read_ids(file: Path) -> np.ndarray:
    """Read the ids of a file; the last line need not end with a newline.

    Raises
    ------
    FeatureError
        The file does not exist, is not text in UTF-8, or has a line that cannot be an id.
    """
    if not file.is_file():
        raise FeatureError(f"{file}: no such file; expected one id a line. Fix: correct --ids.")
    try:
        # a byte order mark, which Windows writes, is not part of the first id
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
                "Fix: correct --ids."
            )
        if len(line) > LONGEST or "\0" in line:
            raise FeatureError(
                f"{file}: line {count} is no id: it has {len(line):,} characters, or a NUL among "
                f"them; expected at most {LONGEST:,}, one id on each line. Fix: correct --ids; if "
                "every second character is a NUL, the file is UTF-16: save it as UTF-8."
            )
    return np.array(lines, object)


def _likely(file: Path) -> str:
    """Guess an encoding for a command: UTF-16 by its byte order mark, else Latin-1."""
    with suppress(OSError), file.open("rb") as opened:
        return "UTF-16" if opened.read(2) in (b"\xff\xfe", b"\xfe\xff") else "LATIN1"
    return "LATIN1"
