"""The context in which every script of the workflow runs: threads, log, errors."""

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
def job(log: Sequence[str] = (), threads: int = 1) -> Iterator[None]:
    """Fix the threads, write a log file, and show an error as one message without traceback.

    Parameters
    ----------
    log
        ``snakemake.log``: the rule's log file, if it has one, for messages, warnings and
        tracebacks, and for progress unless there is a terminal.
    threads
        ``snakemake.threads``: cores of this job.
    """
    keep_freed_memory()
    keep_from_broken_kernels()
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    # read by torch if it is imported later; some environments have no torch
    os.environ["OMP_NUM_THREADS"] = str(threads)
    if "torch" in sys.modules:
        from kc.runtime import use_threads

        use_threads(threads)
    if log:
        _write_to(Path(log[0]))
    started = time.perf_counter()
    # scancel, and SLURM at the time limit: end by an exception, so that locks are released
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
    """Return the peak memory of this process.

    On Linux ru_maxrss starts at the peak of the parent; VmHWM does not.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        found = next(s for s in status.read_text().splitlines() if s.startswith("VmHWM"))
        return int(found.split()[1]) >> 10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (1 << 20 if sys.platform == "darwin" else 1 << 10)


def _write_to(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # on a full disk show the error of the job, not that of its log
    logging.raiseExceptions = False
    if path.is_symlink():
        path.unlink()  # its target must not be emptied
    handler = logging.FileHandler(path, mode="w", encoding="utf-8")
    handler.setFormatter(PlainFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    for name in ("kc", "py.warnings"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.addHandler(handler)
    logging.captureWarnings(True)
    LOG.info("process %d, command %s", os.getpid(), " ".join(sys.argv))
