"""What every script of the workflow does first, and what it does with an error."""

import logging
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from kc.errors import PlainFormatter, ending
from kc.runtime import keep_freed_memory, keep_from_broken_kernels

LOG = logging.getLogger("kc")


@contextmanager
def job(log: Sequence[str] = ()) -> Iterator[None]:
    """Fix threads, keep a log file; show an error as one message instead of a traceback.

    Parameters
    ----------
    log
        ``snakemake.log``: the rule's log file, if it has one. Progress bars go to the terminal
        only; what was done, warnings and tracebacks go here.
    """
    keep_freed_memory()
    keep_from_broken_kernels()
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    # read by torch where it comes later; an environment for cards alone has none
    os.environ["OMP_NUM_THREADS"] = "1"
    if "torch" in sys.modules:
        from kc.runtime import use_threads

        use_threads(1)
    if log:
        _write_to(Path(log[0]))
    started = time.perf_counter()
    # scancel, and SLURM at the end of a job's time: end by way of what gives locks back
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        yield
    except SystemExit:
        LOG.exception("stopped")
        raise
    except BaseException as error:
        LOG.exception("stopped")
        told, code = ending(error, Path(log[0]) if log else None)
        sys.stderr.write(f"\n{told}\n\n")
        sys.exit(code)
    finally:
        signal.signal(signal.SIGTERM, before)
    LOG.info("done in %.1f s, peak memory %d MB", time.perf_counter() - started, _peak_mb())


def _stop(number: int, _: FrameType | None) -> None:
    sys.exit(f"stopped by signal {signal.Signals(number).name}")


def _peak_mb() -> int:
    """Return the most memory this process has held.

    Linux's ru_maxrss begins at what the parent held; VmHWM does not.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        found = next(s for s in status.read_text().splitlines() if s.startswith("VmHWM"))
        return int(found.split()[1]) >> 10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (1 << 20 if sys.platform == "darwin" else 1 << 10)


def _write_to(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # on a full disk the error of the job is to be seen, not that of its log
    logging.raiseExceptions = False
    if path.is_symlink():
        path.unlink()  # what it leads to is not to be emptied
    handler = logging.FileHandler(path, mode="w", encoding="utf-8")
    handler.setFormatter(PlainFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    for name in ("kc", "py.warnings"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.addHandler(handler)
    logging.captureWarnings(True)
    LOG.info("process %d, command %s", os.getpid(), " ".join(sys.argv))
