"""One test for all rows of a table: where a row is a value, and not a scenario with its fixtures.

As a test of its own each row would take more time to be set up than to be checked.
"""

from __future__ import absolute_import, division, print_function

import pytest

__all__ = ["each"]


def each(names, rows):
    """Return a decorator that has a function called for each row, and tells of all that fail.

    It is used like ``pytest.mark.parametrize``, also several times. The function has no other
    parameters: what is decorated gets no fixtures.

    :param names: names of the parameters, separated by commas (str).
    :param rows: for each row a tuple of values; a value alone if there is one name.
    """
    names = [name.strip() for name in names.split(",")]
    rows = list(rows)
    assert rows, "there is nothing to be checked"

    def decorate(function):
        def check_all(**others):
            failures = []
            for row in rows:
                values = dict(zip(names, row if len(names) > 1 else [row]), **others)
                assert len(values) == len(names) + len(others)
                try:
                    function(**values)
                except (Exception, pytest.fail.Exception) as error:
                    failures.append("%.300r: %s: %s" % (row, type(error).__name__, error))
            if failures:
                raise AssertionError("%d of %d rows fail:\n%s" % (
                    len(failures), len(rows), "\n".join(failures)))

        check_all.__name__, check_all.__doc__ = function.__name__, function.__doc__
        check_all.__module__ = function.__module__
        # pytest sorts tests by where they stand, and looks no further than one function.
        check_all.place_as = getattr(function, "place_as", function)
        return check_all

    return decorate
