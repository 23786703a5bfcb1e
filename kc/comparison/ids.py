"""What rows of features are called: a text of ids, one a line."""

from pathlib import Path

import numpy as np

from kc.errors import FeatureError

LONGEST = 4096
"""Characters of an id; a path has no more. A table of ids is as wide as the longest."""


def read_ids(file: Path) -> np.ndarray:
    """Read the ids of a file; the last line may be without an end.

    Raises
    ------
    FeatureError
        No such file, no text in UTF-8, or a line that can be no id.
    """
    if not file.is_file():
        raise FeatureError(f"{file}: no such file; expected ids, one a line")
    try:
        # a byte order mark, which Windows writes, is no part of the first id
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except (UnicodeDecodeError, OSError) as error:
        raise FeatureError(
            f"{file}: not readable as text in UTF-8 ({error}). Cure: save the ids as UTF-8."
        ) from error
    for count, line in enumerate(lines, 1):
        if len(line) > LONGEST or "\0" in line:
            raise FeatureError(
                f"{file}: line {count} is no id: it has {len(line):,} characters, or a NUL among "
                f"them; expected at most {LONGEST:,}, one id a line. Cure: mend --ids."
            )
    return np.array(lines[:-1] if lines[-1] == "" else lines, object)
