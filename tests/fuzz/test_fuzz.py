"""Forty random inputs: each is refused clearly, or its numbers agree with numpy."""

import pytest

from tests.fuzz.run import one

SLOW = (1147, 1179)
"""Maps of networks: half a minute."""
QUICK = [case for case in range(1132, 1171) if case not in SLOW]
"""Vectors and refusals."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("cases", [QUICK, pytest.param(SLOW, marks=pytest.mark.long)])
def test_no_input_ends_in_a_fault_or_a_wrong_number(cases):
    ends = {number: one(number) for number in cases}
    assert {number: found for number, (_, found, _) in ends.items() if found} == {}
    # if all inputs were refused, no number would be tested
    assert 5 * sum(code == 0 for code, _, _ in ends.values()) >= len(cases)
