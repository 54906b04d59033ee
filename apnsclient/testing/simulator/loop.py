"""An event loop in one thread: descriptors, timers, and calls from other threads.

Everything that belongs to the loop is touched by its thread alone; :meth:`Loop.call` is the one
way in. A callback that raises is logged, and the loop goes on.
"""

from __future__ import absolute_import, division, print_function

import heapq
import itertools
import logging
import os
import socket
import threading
from collections import deque

from ..._compat import MYPY, monotonic
from .._poller import READ, WRITE, Poller

if MYPY:
    from typing import Any, Callable, Deque, Dict, List, Optional

__all__ = ["Loop", "Timer"]

_log = logging.getLogger(__name__)


class Timer(object):
    """A call that is to be made later; :meth:`cancel` prevents it."""

    def __init__(self, when, function):
        # type: (float, Callable[[], Any]) -> None
        self.when = when
        self.function = function  # type: Optional[Callable[[], Any]]

    def cancel(self):
        # type: () -> None
        self.function = None


class Loop(object):
    """The loop and its thread.

    :param after_round: called after each round of events, in the loop's thread.
    """

    def __init__(self, after_round):
        # type: (Callable[[], Any]) -> None
        self._poller = Poller(is_large=True)
        self._after_round = after_round
        self._watched = {}  # type: Dict[int, Callable[[bool, bool], Any]]
        self._timers = []  # type: List[Any]
        self._numbers = itertools.count()
        self._calls = deque()  # type: Deque[Callable[[], Any]]
        self._waker, self._wakened = socket.socketpair()
        self._waker.setblocking(False)
        self._wakened.setblocking(False)
        self._running = True
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._run, name="apnsclient-simulator")
        self._thread.daemon = True
        self.watch(self._wakened.fileno(), self._drain_wakeups)

    def start(self):
        # type: () -> None
        """Start the thread."""
        self._thread.start()

    def stop(self):
        # type: () -> None
        """End the thread after the calls that were made so far, and wait until it has ended."""
        self.call(self._stop)
        self._thread.join()
        self.close()

    def close(self):
        # type: () -> None
        """Close the loop's own descriptors. A forked child does this, and nothing else."""
        self._waker.close()
        self._wakened.close()
        self._poller.close()

    # From any thread.

    def call(self, function):
        # type: (Callable[[], Any]) -> None
        """Have a function called by the loop's thread, soon."""
        self._calls.append(function)
        try:
            self._waker.send(b"\0")
        except (OSError, IOError):
            # The buffer is full of wake-ups already, or the loop has been closed.
            pass

    def ask(self, function):
        # type: (Callable[[], Any]) -> Any
        """Have a function called by the loop's thread; wait for its result and return it.

        :raises RuntimeError: if the loop does not run in this process.
        :raises Exception: what the function raises.
        """
        if threading.current_thread() is self._thread:
            return function()
        results = []  # type: List[Any]
        errors = []  # type: List[Exception]
        done = threading.Event()

        def call():
            # type: () -> None
            try:
                results.append(function())
            except Exception as error:
                errors.append(error)
            finally:
                done.set()

        if os.getpid() != self._process:
            raise RuntimeError("the simulator runs in the process %d, not in this one"
                               % self._process)
        self.call(call)
        while not done.wait(0.5):
            if not self._thread.is_alive() and not done.is_set():
                break
        if errors:
            raise errors[0]
        if not results:
            raise RuntimeError("the simulator does not run")
        return results[0]

    # From the loop's thread.

    def call_later(self, delay, function):
        # type: (float, Callable[[], Any]) -> Timer
        """Have a function called in ``delay`` seconds."""
        timer = Timer(monotonic() + delay, function)
        heapq.heappush(self._timers, (timer.when, next(self._numbers), timer))
        return timer

    def watch(self, descriptor, callback, read=True, write=False):
        # type: (int, Callable[[bool, bool], Any], bool, bool) -> None
        """Call ``callback(readable, writable)`` as long as the descriptor is ready."""
        self._poller.register(descriptor, _events(read, write))
        self._watched[descriptor] = callback

    def rewatch(self, descriptor, read, write):
        # type: (int, bool, bool) -> None
        """Change what is watched for."""
        self._poller.modify(descriptor, _events(read, write))

    def unwatch(self, descriptor):
        # type: (int) -> None
        """Stop watching, before the descriptor is closed."""
        self._poller.unregister(descriptor)
        del self._watched[descriptor]

    def _run(self):
        # type: () -> None
        while self._running:
            for descriptor, events in self._poller.poll(self._timeout()):
                # An earlier callback of this round may have closed it.
                callback = self._watched.get(descriptor)
                if callback is not None:
                    self._guard(callback, bool(events & READ), bool(events & WRITE))
            self._run_timers()
            self._run_calls()
            self._guard(self._after_round)

    def _timeout(self):
        # type: () -> Optional[float]
        if self._calls:
            return 0.0
        while self._timers and self._timers[0][2].function is None:
            heapq.heappop(self._timers)
        return max(0.0, self._timers[0][0] - monotonic()) if self._timers else None

    def _run_timers(self):
        # type: () -> None
        now = monotonic() if self._timers else 0.0
        while self._timers and self._timers[0][0] <= now:
            function = heapq.heappop(self._timers)[2].function
            if function is not None:
                self._guard(function)

    def _run_calls(self):
        # type: () -> None
        for _ in range(len(self._calls)):
            self._guard(self._calls.popleft())

    def _stop(self):
        # type: () -> None
        self._running = False

    def _drain_wakeups(self, readable, writable):
        # type: (bool, bool) -> None
        self._wakened.recv(4096)

    @staticmethod
    def _guard(function, *arguments):
        # type: (Callable[..., Any], *Any) -> None
        try:
            function(*arguments)
        except Exception:
            _log.exception("a callback of the simulator failed")


def _events(read, write):
    # type: (bool, bool) -> int
    return (READ if read else 0) | (WRITE if write else 0)
