"""Running until a signal arrives, for the commands that serve."""

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
    """Waits for SIGINT or SIGTERM, also if it arrives before :meth:`wait` is called."""

    #: The signals that it waits for.
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
        """Have :meth:`wait` return True, as a signal does. The arguments are not used."""
        os.write(self._writer, b"s")

    def wake(self):
        # type: () -> None
        """Have :meth:`wait`, or its next call, return False. May be called from any thread."""
        with self._lock:
            if not self._is_awake:
                self._is_awake = True
                os.write(self._writer, b"w")

    def wait(self):
        # type: () -> bool
        """Block; return True when a signal has arrived, False when :meth:`wake` was called."""
        while True:
            try:
                is_signal = os.read(self._reader, 1) == b"s"
            except OSError as error:  # Python 2.7 does not restart it after a signal.
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
