"""Running until a signal comes: what the commands that serve have in common."""

from __future__ import absolute_import, division, print_function

import errno
import os
import signal
import threading

from .._compat import MYPY

if MYPY:
    from typing import Any, Optional

__all__ = ["Stop"]


class Stop(object):
    """Waits for SIGINT or SIGTERM. A signal that comes before the waiting ends it, too."""

    #: The signals that end the waiting.
    signals = (signal.SIGINT, signal.SIGTERM)

    def __enter__(self):
        # type: () -> Stop
        self._lock = threading.Lock()
        self._is_awake = False
        self._reader, self._writer = os.pipe()
        self._previous = [(number, signal.signal(number, self.end))
                          for number in self.signals]
        return self

    def end(self, number=None, frame=None):
        # type: (Optional[int], Any) -> None
        """End the waiting for good, as a signal does; its number and frame are of no account."""
        os.write(self._writer, b"s")

    def wake(self):
        # type: () -> None
        """End the waiting, or the next one, although there is no signal. From any thread."""
        with self._lock:
            if not self._is_awake:
                self._is_awake = True
                os.write(self._writer, b"w")

    def wait(self):
        # type: () -> bool
        """Return True once a signal has come, False if :meth:`wake` was called."""
        while True:
            try:
                is_signal = os.read(self._reader, 1) == b"s"
            except OSError as error:  # Python 2.7 does not go on after a signal.
                if error.errno != errno.EINTR:
                    raise
                continue
            if not is_signal:
                with self._lock:
                    self._is_awake = False
            return is_signal

    def __exit__(self, *exception):
        # type: (*Any) -> None
        for number, handler in self._previous:
            signal.signal(number, handler)
        os.close(self._reader)
        os.close(self._writer)
