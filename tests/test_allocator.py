"""The process keeps freed memory; measured in page faults, not in time."""

import subprocess
import sys
import textwrap

import pytest

FAULTS = textwrap.dedent("""
    import resource, sys
    import torch
    from kc.runtime import KEPT, keep_freed_memory

    if sys.argv[1] == "kept":
        keep_freed_memory()
    elements = int(sys.argv[2]) // 4

    def work():
        a = torch.zeros(elements)
        return float((a + 1)[-1])

    for _ in range(10):
        work()  # aligned blocks leave holes too small for the next; the heap soon has room for all
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        work()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
""")


def faults(how: str, size: int) -> int:
    command = [sys.executable, "-c", FAULTS, how, str(size)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.long
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_a_freed_block_is_used_again() -> None:
    size = 40 << 20  # 10,240 pages; 20 tensors of it
    left_alone = faults("left alone", size)
    # the counter-example: without it each tensor gets new pages
    assert left_alone > 150_000
    # one tensor may still get new pages, if its aligned block fits no hole
    assert faults("kept", size) <= left_alone / 10
