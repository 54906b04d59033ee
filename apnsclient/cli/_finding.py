"""What ``apns doctor`` finds: a check has an outcome, what was seen, and what to do about it.

A check is a function of facts, and stands in a table with its name. Facts are gathered when they
are first asked for, so that what a check needs is done by the first one that needs it.
"""

from __future__ import absolute_import, division, print_function

from collections import namedtuple

from .._compat import MYPY

if MYPY:
    from typing import Any, Callable, Iterator, Optional, Sequence, Tuple

__all__ = ["Check", "FAILED", "Finding", "OK", "SKIPPED", "WARNING", "failed", "findings_of",
           "good", "once", "skipped", "warning"]

#: The outcomes.
OK, WARNING, FAILED, SKIPPED = "ok", "warning", "failed", "skipped"

#: ``(outcome, seen, remedy)``: the last is None where there is nothing to do.
Finding = namedtuple("Finding", "outcome seen remedy")

#: ``(name, title, judge)``: the function is called with the facts, and returns a Finding, or None
#: where the check does not apply.
Check = namedtuple("Check", "name title judge")


def good(seen):
    # type: (str) -> Finding
    """Return the finding of what is as it should be."""
    return Finding(OK, seen, None)


def warning(seen, remedy):
    # type: (str, str) -> Finding
    """Return the finding of what works and should be looked after."""
    return Finding(WARNING, seen, remedy)


def failed(seen, remedy):
    # type: (str, str) -> Finding
    """Return the finding of what does not work."""
    return Finding(FAILED, seen, remedy)


def skipped(why):
    # type: (str) -> Finding
    """Return the finding of what could not be checked."""
    return Finding(SKIPPED, why, None)


def findings_of(checks, facts):
    # type: (Sequence[Check], Any) -> Iterator[Tuple[Check, Finding]]
    """Yield each check that applies, with its finding, in order."""
    for check in checks:
        finding = check.judge(facts)
        if finding is not None:
            yield check, finding


class once(object):
    """A property that is computed when it is first asked for, and kept."""

    def __init__(self, function):
        # type: (Callable[[Any], Any]) -> None
        self._function = function
        self.__doc__ = function.__doc__

    def __get__(self, instance, owner):
        # type: (Any, Optional[type]) -> Any
        if instance is None:
            return self
        value = instance.__dict__[self._function.__name__] = self._function(instance)
        return value
