"""A lock that the kernel lets go of when its owner dies."""

import fcntl
import json
import os
import socket
from pathlib import Path
from typing import IO

from kc.errors import StoreError


def lock(path: Path) -> IO[str]:
    """Take the lock file; closing it gives the lock back.

    Raises
    ------
    StoreError
        Another process holds it; its host, process and SLURM job are named.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        owner = file.read().strip() or "unknown"
        file.close()
        raise StoreError(
            f"{path}: another process writes this store ({owner}). "
            "Cure: wait for it to end, or stop it; two writers would lose data."
        ) from None
    file.truncate(0)
    job = os.environ.get("SLURM_JOB_ID", "none")
    file.write(json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "slurm_job": job}))
    file.flush()
    return file
