"""Reader of .mat files in a separate process, because a damaged file crashes SciPy."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy

from kc.datasets import mat_child
from kc.errors import ImageError

MOST_BYTES = 64 << 20
"""Largest file that is read; the official lists have 250 kB."""
SECONDS = 20
"""Processor time of a reader; the official lists take 0.3 s."""
MEMORY = 2 << 30
"""Memory of a reader, bytes."""
PATIENCE = 120
"""Longest wait for a reader, s: libraries may be on a slow disk."""
# imported, though run by its path, so that product keys include its code
_CHILD = Path(mat_child.__file__)


def read_mat(content: bytes, variables: Sequence[str]) -> list[list[Any]]:
    """Read variables as flat lists; a missing variable is empty.

    Raises
    ------
    ImageError
        The file cannot be read; the caller adds its name.
    """
    if len(content) > MOST_BYTES:
        raise ImageError(f"it has {len(content):,} bytes, more than {MOST_BYTES:,}")
    # isolated from the working directory's modules; libraries are in the same folders as ours
    folders = {str(Path(module.__path__[0]).parent) for module in (np, scipy)}
    about = [str(SECONDS), str(MEMORY), ",".join(variables), *sorted(folders)]
    env = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    try:
        done = subprocess.run(  # noqa: S603, no argument comes from a user
            [sys.executable, "-I", str(_CHILD), *about],
            input=content,
            capture_output=True,
            timeout=PATIENCE,
            env=env,
            check=False,
        )
        found = json.loads(done.stdout) if done.returncode == 0 else None
    except subprocess.TimeoutExpired:
        raise ImageError(f"its reader did not end within {PATIENCE} s") from None
    except ValueError as error:
        raise ImageError(f"its reader answered no JSON: {error}") from error
    if found is None:
        raise ImageError(_failure(done.returncode, done.stderr))
    return [found[name] for name in variables]


def _failure(code: int, told: bytes) -> str:
    """Return why a reader failed: its signal, or the last line of its traceback."""
    if code < 0:
        return f"its reader was ended by {signal.Signals(-code).name}"
    lines = told.decode("utf-8", "replace").strip().splitlines()
    return f"{lines[-1] if lines else f'its reader ended with code {code}':.200}"
