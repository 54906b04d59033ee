"""Waiting for what another thread brings about."""

from __future__ import absolute_import, division, print_function

import threading

from .._compat import MYPY, monotonic

if MYPY:
    from typing import Any, Callable, Optional

__all__ = ["Changes"]

#: Seconds after which whoever waits looks again, changes or not: a condition may also depend on
#: what nobody announces.
_LONGEST_WAIT = 0.5


class Changes(object):
    """Wakes threads that wait for a condition whenever something may have changed it."""

    def __init__(self):
        # type: () -> None
        self._changed = threading.Condition()
        self._version = 0

    def announce(self):
        # type: () -> None
        """Have all who wait check their condition again."""
        with self._changed:
            self._version += 1
            self._changed.notify_all()

    def wait_for(self, condition, timeout):
        # type: (Callable[[], Any], Optional[float]) -> bool
        """Wait until a function returns something true; no lock is held while it runs.

        :param condition: function without arguments.
        :param timeout: seconds (float), None for no limit.
        :return: True if it did in time.
        """
        end = None if timeout is None else monotonic() + timeout
        while True:
            seen = self._version
            if condition():
                return True
            left = None if end is None else end - monotonic()
            if left is not None and left <= 0:
                return False
            with self._changed:
                if self._version == seen:
                    self._changed.wait(
                        _LONGEST_WAIT if left is None else min(left, _LONGEST_WAIT))
