"""What one thread waits for, and any other sets."""

from __future__ import absolute_import, division, print_function

import socket
import threading
import time

from .._compat import MYPY, PY2, monotonic
from . import _sockets

if MYPY:
    from typing import Any, Optional, Tuple

__all__ = ["Event"]

#: Highest descriptor for a wait on Python 2.7; systems give the lowest that is free, and commonly
#: up to 1023. The others are for connections.
_LAST_DESCRIPTOR = 511
#: Seconds between two looks of a wait that has no descriptors.
_NAP = 0.05
#: Seconds by which the clock of Python 2.7 moves on at a time: to wait for less is to do so again.
_CLOCK_STEP = 0.01


class _LockEvent(object):
    """What one caller waits for, and any other sets.

    In place of ``threading.Event``: that one holds a lock while it begins to wait, and whatever the
    garbage collector finalizes at that moment, in the same thread, could not set it.

    Whether it is set is one attribute, which only ever turns true. The lock merely wakes up whoever
    waits: it is released to wake, and never by the waiter, whose release might come second to that
    of another ``set()`` and fail.
    """

    def __init__(self):
        # type: () -> None
        self._is_set = False
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self):
        # type: () -> None
        """Let the caller go on."""
        self._is_set = True
        try:
            self._lock.release()
        except RuntimeError:
            pass  # It was released before, and nobody has waited since.

    def wait(self, timeout):
        # type: (float) -> bool
        """Wait for at most ``timeout`` seconds; return True if the event is set."""
        if not self._is_set:
            # If it is set in between, the lock is free.
            self._lock.acquire(True, timeout)
        return self._is_set


class _SocketEvent(object):
    """The same for Python 2.7, where waiting for a lock has no timeout and no signal ends it.

    A wait has a pair of sockets, and ends with a byte. Only where descriptors are scarce does it
    look again and again.
    """

    def __init__(self):
        # type: () -> None
        self._is_set = False
        self._sender = None  # type: Any

    def set(self):
        # type: () -> None
        """Let the caller go on."""
        self._is_set = True
        sender = self._sender
        if sender is not None:
            try:
                _sockets.try_send(sender, b"\0")
            except socket.error:
                pass  # It is closed: the wait is over.

    def wait(self, timeout):
        # type: (float) -> bool
        """Wait for at most ``timeout`` seconds; return True if the event is set."""
        end = monotonic() + timeout
        while not self._is_set:
            left = end - monotonic()
            if left <= 0:
                break
            ends = _open_pair()
            if ends is None:
                time.sleep(min(left, _NAP))
                continue
            receiver, self._sender = ends
            try:
                # If it is set from here on, there is a byte.
                if not self._is_set:
                    _sockets.wait([(receiver, False)], max(left, _CLOCK_STEP))
            finally:
                receiver.close()
                ends[1].close()
        return self._is_set


def _open_pair():
    # type: () -> Optional[Tuple[Any, Any]]
    """Return two sockets that are connected to each other, or None where they are scarce."""
    try:
        ends = _sockets.open_pair()
    except (AttributeError, socket.error):
        return None  # Python 2.7 has no such pairs on Windows.
    if max(end.fileno() for end in ends) <= _LAST_DESCRIPTOR:
        return ends
    for end in ends:
        end.close()
    return None


Event = _SocketEvent if PY2 else _LockEvent  # type: Any
