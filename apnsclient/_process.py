"""State of one process, which a forked child does not share with its parent.

A lock may be held by another thread of the parent during the fork, and is never released in the
child; a connection may be written to by the parent only.
"""

from __future__ import absolute_import, division, print_function

import os

from ._compat import MYPY

if MYPY:
    from typing import Any, Callable, Dict, Optional

__all__ = ["PerProcess", "this_process"]


class _Generation(object):
    """Identifies the process, without a system call on Python 3.7 and newer."""

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
    """Return a value that identifies this process among its parents and forked children."""
    return _generation.current if _generation.is_known else os.getpid()


class PerProcess(object):
    """A value for each process, created when it is used for the first time.

    May be used by several threads: ``dict.setdefault`` is atomic, so they all get the same value.
    """

    def __init__(self):
        # type: () -> None
        self._values = {}  # type: Dict[Any, Any]

    def get(self, make, discard=None):
        # type: (Callable[[], Any], Optional[Callable[[Any], None]]) -> Any
        """Return the value of this process.

        :param make: called without arguments to create a value; the value may remain unused.
        :param discard: called with the value of another process, which a fork has left behind.
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
