"""What a process is told before torch computes: to keep freed memory, and which kernels to use."""

import ctypes
import os
from pathlib import Path

KEPT = 1 << 28
"""Bytes: blocks below it come from memory kept, and no more than twice as much is kept unused."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's malloc.h


def keep_freed_memory() -> None:
    """Keep glibc from giving every freed tensor back to the system, and from asking for it anew.

    The system clears each page it gives: without this, a third of the time of small convolutions
    went into that. Values do not change. Where there is no glibc (macOS, musl), nor does speed.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_MMAP_THRESHOLD, KEPT)
        set_option(_TRIM_THRESHOLD, 2 * KEPT)


def keep_from_broken_kernels(cpu: Path = Path("/proc/cpuinfo")) -> None:
    """Keep oneDNN from its kernels for AVX2, where the processor has no AVX-512.

    With torch 2.15 they write past their memory when narrow networks are trained (seen on an AMD
    EPYC: crashes, and other weights from the same seed); those for AVX were as fast there. The
    user's own ``ONEDNN_MAX_CPU_ISA`` stands.
    """
    if cpu.is_file() and "avx512" not in cpu.read_text():
        os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX")
