"""Tables whose rows are checked by one test."""

from __future__ import absolute_import, division, print_function

import pytest

from tables import each


def test_every_row_is_checked_and_each_that_fails_is_told():
    """With its values, whatever fails: an assertion, an exception, or that there was none."""
    seen = []

    @each("other", ["x", "y"])
    @each("number, text", [(1, "a"), (2, "b"), (3, "c"), (4, "d")])
    def check(number, text, other):
        seen.append((other, number, text))
        assert number != 2
        if number == 3:
            with pytest.raises(ValueError):
                pass
        if number == 4:
            raise KeyError("gone")

    with pytest.raises(AssertionError) as caught:
        check()
    assert seen == [(other, number, text) for other in "xy"
                    for number, text in ((1, "a"), (2, "b"), (3, "c"), (4, "d"))]
    told = str(caught.value)
    assert told.count("3 of 4 rows fail") == 2 and "2 of 2 rows fail" in told
    assert "(2, 'b'): AssertionError" in told and "(4, 'd'): KeyError" in told
    assert "(3, 'c'): Failed" in told and "(1, 'a')" not in told


def test_a_table_without_rows_checks_nothing():
    """That is a mistake."""
    with pytest.raises(AssertionError):
        each("number", [])
