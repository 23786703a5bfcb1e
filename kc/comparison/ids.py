"""Read the ids of rows of features from the lines of a file, or from a column of a table."""

from contextlib import suppress
from pathlib import Path

import numpy as np

from kc.comparison.columns import open_table
from kc.errors import FeatureError
from kc.plans.commands import command
from kc.settings.custom import TABLES

LONGEST = 4096
"""Most characters of an id; a path has no more. A column of ids is as wide as the longest."""


def read_ids(file: Path, column: str | None = None) -> np.ndarray:
    """Read the ids of a file: its lines (the last may lack its newline), or a column of a table.

    Raises
    ------
    FeatureError
        The file or column does not exist, is not text in UTF-8, or has a value that cannot be an
        id.
    """
    if not file.is_file():
        raise FeatureError(f"{file}: no such file; expected one id a line. Fix: correct --ids.")
    if column is not None:
        return _of_column(file, column)
    if file.suffix.lower() == ".parquet":
        raise FeatureError(f"{file}: a table; expected the column of ids. Fix: {file}:COLUMN.")
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


def _of_column(file: Path, column: str) -> np.ndarray:
    if file.suffix.lower() not in TABLES:
        raise FeatureError(
            f"{file}: is no table ({', '.join(TABLES)}), so it has no column '{column}'. Fix: "
            "--ids with a file of one id on each line, or FILE.csv:COLUMN."
        )
    table = open_table(file)
    if column not in table.columns:
        raise FeatureError(
            f"{file}: no column '{column}' in it; there are {', '.join(table.columns[:9])}. Fix: "
            "correct --ids."
        )
    found = table.texts(column)
    for row, name in enumerate(found):
        if name is None or not name.strip() or len(name) > LONGEST or "\0" in name:
            raise FeatureError(
                f"{file}: column '{column}' has no id in row {row} (row 0 is the first): it is "
                f"empty, or has more than {LONGEST:,} characters or a NUL. Fix: correct it."
            )
    return np.array(found, object)


def _likely(file: Path) -> str:
    """Guess an encoding for a command: UTF-16 by its byte order mark, else Latin-1."""
    with suppress(OSError), file.open("rb") as opened:
        return "UTF-16" if opened.read(2) in (b"\xff\xfe", b"\xfe\xff") else "LATIN1"
    return "LATIN1"
