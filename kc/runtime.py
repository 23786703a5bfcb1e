"""Device, threads, memory and seeds: what affects numbers or speed besides the settings.

Only functions that need torch import it: jobs that only read cards run without it.
"""

import ctypes
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from kc.errors import DeviceError

if TYPE_CHECKING:
    import torch

KEPT = 1 << 28
"""Bytes: smaller blocks are taken from kept memory; at most twice as much is kept unused."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's malloc.h


def pick_device(name: str) -> "torch.device":
    """Turn the setting ``device`` into a device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``.

    ``auto`` takes a GPU if there is one. If a GPU was asked for and is missing, an error is
    raised; kc never falls back to the CPU silently.

    Raises
    ------
    DeviceError
        There is no such device, or kc does not compute on it.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type == "mps":
        raise DeviceError(
            f"device: '{name}': Apple's GPU has no float64, in which kc sums the equations and "
            "variances of g. Fix: cpu, which auto takes on a Mac."
        )
    if device.type not in ("cpu", "cuda") or (device.type == "cpu" and name != "cpu"):
        raise DeviceError(
            f"device: '{name}'; expected auto, cpu, cuda or, with its number, cuda:1. Fix: one of "
            "these."
        )
    if device.type == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            f"device: '{name}' was asked for, but torch {torch.__version__} sees no GPU here. "
            "Fix: cpu or auto, or run on a machine with a GPU."
        )
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        there = ", ".join(f"cuda:{k}" for k in range(torch.cuda.device_count()))
        raise DeviceError(f"device: '{name}' was asked for; there are {there}. Fix: one of these.")
    return device


def use_threads(threads: int = 1) -> None:
    """Fix torch's thread count, so that no result depends on how many cores are free.

    Weights differ by rounding between one and two threads, and two jobs of one thread outrun one
    of two (measured: 632 against 487 images/s). Call it before any computation.

    Raises
    ------
    DeviceError
        This process may not use as many cores.
    """
    cores = _cores()
    if not 1 <= threads <= cores:
        raise DeviceError(
            f"threads: {threads} were asked for, and this process may use {cores} "
            f"core{'s' if cores > 1 else ''}. Fix: a number from 1 to {cores}."
        )
    import torch

    keep_from_broken_kernels()
    torch.set_num_threads(threads)


def _cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on a Mac
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def derive_seed(*parts: object) -> int:
    """Return a seed that depends only on the parts, and is the same on every machine.

    >>> derive_seed("vgg16_bn", 0) != derive_seed("vgg16_bn", 1)
    True
    """
    digest = hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).digest()
    return int.from_bytes(digest[:4], "big") & 0x7FFFFFFF


def keep_freed_memory() -> None:
    """Make glibc keep freed tensors instead of returning them to the system.

    The system clears each page it hands out, which took a third of the time of small
    convolutions. Values do not change. Without glibc (macOS, musl) this does nothing.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_MMAP_THRESHOLD, KEPT)
        set_option(_TRIM_THRESHOLD, 2 * KEPT)


def keep_from_broken_kernels(cpu: Path = Path("/proc/cpuinfo")) -> None:
    """Disable the AVX2 kernels of oneDNN on processors without AVX-512.

    With torch 2.15 they write past their memory when narrow networks are trained (seen on an AMD
    EPYC: crashes, and other weights from the same seed); the AVX kernels were as fast there. If
    the user set ``ONEDNN_MAX_CPU_ISA``, it is kept.
    """
    if cpu.is_file() and "avx512" not in cpu.read_text():
        os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX")
