"""What each process has for itself: a forked child must not touch what its parent goes on using.

A lock may have been held by another thread of the parent during the fork, and nobody in the child
would ever release it; a connection is the parent's to write to.
"""

from __future__ import absolute_import, division, print_function

import os

from ._compat import MYPY

if MYPY:
    from typing import Any, Callable, Dict, Optional

__all__ = ["PerProcess", "this_process"]


class _Generation(object):
    """Which process this is, for less than a system call where Python can tell (3.7 and newer)."""

    def __init__(self):
        # type: () -> None
        self.current = object()
        self.is_known = hasattr(os, "register_at_fork")
        if self.is_known:
            os.register_at_fork(after_in_child=self._renew)

    def _renew(self):
        # type: () -> None
        self.current = object()


_generation = _Generation()


def this_process():
    # type: () -> Any
    """Return what is equal in one process, and unequal in those that are forked from it."""
    return _generation.current if _generation.is_known else os.getpid()


class PerProcess(object):
    """A value for each process, made when it is asked for first.

    May be used by several threads: ``dict.setdefault`` is atomic, so that all get the same value.
    """

    def __init__(self):
        # type: () -> None
        self._values = {}  # type: Dict[Any, Any]

    def get(self, make, discard=None):
        # type: (Callable[[], Any], Optional[Callable[[Any], None]]) -> Any
        """Return the value of this process.

        :param make: called without arguments for a value, perhaps for one that is not used.
        :param discard: called with the value of another process, which a fork has left here.
        """
        process = this_process()
        value = self._values.get(process)
        if value is None:
            value = self._values.setdefault(process, make())
            for other in [key for key in list(self._values) if key != process]:
                inherited = self._values.pop(other, None)
                if inherited is not None and discard is not None:
                    discard(inherited)
        return value
