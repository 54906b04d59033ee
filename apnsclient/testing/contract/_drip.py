"""Peers that do a little again and again, during calls that must end all the same.

A back-end that starts its clock again whenever something happens does not come back, as long as
nothing takes longer than its timeout. On a busy machine it may: the call ends in time by accident,
and says nothing of the back-end. So the time between two drips is measured, and a call that they
were too slow for is repeated with twice the timeout.
"""

from __future__ import absolute_import, division, print_function

import socket
import time

from ..._compat import MYPY, monotonic

if MYPY:
    from typing import Any, Callable

    from ._stage import Stage

__all__ = ["Drip", "try_longer"]


class Drip(object):
    """Does something again and again, as long as the block runs; a context manager.

    :param step: called in a thread; returns True for what a call notices that waits meanwhile.
    :param pause: seconds (float) between two calls of it.
    :param stop: ends a step that waits; called at the end.
    """

    def __init__(self, stage, step, pause, stop=lambda: None):
        # type: (Stage, Callable[[], Any], float, Callable[[], Any]) -> None
        self._stage = stage
        self._step = step
        self._pause = pause
        self._stop = stop
        self._is_over = self._has_begun = False
        self._longest = 0.0

    def __enter__(self):
        # type: () -> Drip
        self._latest = monotonic()
        self._dripping = self._stage.aside(self._run)
        return self

    def __exit__(self, *exception):
        # type: (*Any) -> None
        self._longest = max(self._longest, monotonic() - self._latest)
        self._is_over = True
        self._stop()
        self._dripping.result()

    def _run(self):
        # type: () -> None
        try:
            while not self._is_over:
                if self._step() and not self._is_over:
                    now = monotonic()
                    self._longest = max(self._longest, now - self._latest)
                    self._latest, self._has_begun = now, True
                time.sleep(self._pause)
        except (socket.error, ValueError):
            pass  # Either side has hung up.

    def was_fast_enough(self, timeout):
        # type: (float) -> bool
        """Return True if no wait of the block can have lasted as long as its timeout."""
        return self._has_begun and 2 * self._longest < timeout


def try_longer(stage, attempt, timeout):
    # type: (Stage, Callable[[float], bool], float) -> None
    """Call ``attempt(timeout)`` until it returns True, each time with twice the timeout.

    A machine that is too slow for any timeout says nothing of the back-end, and is no failure.
    """
    while not attempt(timeout) and 2 * timeout < stage.patience:
        timeout *= 2
