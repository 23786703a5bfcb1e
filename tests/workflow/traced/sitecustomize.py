"""Loaded by Python at its start: records the modules of kc whose functions a job runs."""

import atexit
import os
import sys
from inspect import CO_OPTIMIZED
from pathlib import Path

if folder := os.environ.get("KC_TRACED"):
    seen = set()
    tool = 4

    def _started(code, _):
        if "/kc/" not in code.co_filename or not code.co_flags & CO_OPTIMIZED:
            return sys.monitoring.DISABLE
        frame = sys._getframe(1)
        while frame is not None:
            if frame.f_code.co_filename.startswith("<frozen importlib"):
                return None  # an import runs it, which says nothing of what the step needs
            frame = frame.f_back
        seen.add(code.co_filename)
        return sys.monitoring.DISABLE

    def _write():
        job = getattr(sys.modules["__main__"], "snakemake", None)
        if not hasattr(job, "rule"):
            return  # Snakemake itself
        path = Path(folder, f"{job.rule}@{os.getpid()}")
        path.write_text("".join(f"{name}\n" for name in sorted(seen)))

    sys.monitoring.use_tool_id(tool, "kc")
    sys.monitoring.register_callback(tool, sys.monitoring.events.PY_START, _started)
    sys.monitoring.set_events(tool, sys.monitoring.events.PY_START)
    atexit.register(_write)
