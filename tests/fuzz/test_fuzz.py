"""Forty inputs of the fuzz: refused clearly, or right by numpy."""

import pytest

from tests.fuzz.run import one

CASES = (*range(1132, 1171), 1179)
"""Vectors and refusals for the most part, which are quick; the last one is of networks' maps."""


@pytest.mark.timeout(600)
def test_no_input_ends_in_a_fault_or_a_wrong_number():
    ends = {number: one(number) for number in CASES}
    assert {number: found for number, (_, found, _) in ends.items() if found} == {}
    # inputs that are all refused would say nothing of numbers
    assert sum(code == 0 for code, _, _ in ends.values()) >= 8
