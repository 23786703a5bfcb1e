"""Memory that one operation frees is kept for the next."""

import ctypes

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
