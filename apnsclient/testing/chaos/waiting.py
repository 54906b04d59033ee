"""Waiting for sockets, in a way that whoever stops the proxy can cut short.

The thread of a connection waits here and nowhere else, so that :meth:`Waiter.stop` reaches it
whatever it does. What could not be sent at once is sent while it waits.
"""

from __future__ import absolute_import, division, print_function

import socket

from ..._compat import MYPY, monotonic
from .._poller import HANG_UP, READ, WRITE, Poller

if MYPY:
    from typing import Any, Dict, Iterable, List, Optional, Sequence

__all__ = ["Sender", "Stopped", "Waiter"]

_LONGEST_WAIT = 3600.0


class Stopped(Exception):
    """The proxy is being stopped, or the connection was ended from another thread.

    It goes through a handler like any exception; a handler that wants to clean up does so and
    raises it again.
    """


class Sender(object):
    """What is sent while a waiter waits."""

    @property
    def has_unsent(self):
        # type: () -> bool
        """True if something is waiting to be sent."""
        raise NotImplementedError

    @property
    def is_closed(self):
        # type: () -> bool
        """True if it is closed."""
        raise NotImplementedError

    def fileno(self):
        # type: () -> int
        """Return the descriptor."""
        raise NotImplementedError

    def flush(self):
        # type: () -> None
        """Send what is unsent, as far as that is possible at once."""
        raise NotImplementedError


class Waiter(object):
    """Waits for the sockets of one connection. All but :meth:`stop` and :meth:`wake` belong to its
    thread.

    :ivar streams: whose unsent data are sent while it waits.
    :ivar is_stopped: whether every further wait raises :class:`Stopped`.
    """

    def __init__(self):
        # type: () -> None
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        self._theirs.setblocking(False)
        self.streams = []  # type: List[Sender]
        self.is_stopped = False

    def wake(self):
        # type: () -> None
        """End the wait that goes on, or the next one, early. From any thread."""
        try:
            self._theirs.send(b"\0")
        except socket.error:
            pass  # It is full, which wakes as well, or closed.

    def stop(self):
        # type: () -> None
        """Make waiting raise :class:`Stopped`, now and later. From any thread."""
        self.is_stopped = True
        self.wake()

    def close(self):
        # type: () -> None
        """Give back the descriptors."""
        self._ours.close()
        self._theirs.close()

    def wait(self, reads=(), timeout=None, writes=(), watched=()):
        # type: (Iterable[Any], Optional[float], Iterable[Any], Iterable[Any]) -> Sequence[Any]
        """Wait until something can be done; return what is ready of ``reads`` and ``watched``.

        May return early with nothing. Sends what is unsent meanwhile.

        :param reads: streams, or sockets, to be read.
        :param timeout: longest wait in seconds, None for no limit.
        :param writes: sockets to be written.
        :param watched: streams whose peer may go away; nothing is read from them.
        :raises Stopped: if the connection is to end.
        """
        self._check()
        reads, watched = list(reads), list(watched)
        unsent = [stream for stream in self.streams if stream.has_unsent]
        readable, writable, gone = _poll(
            reads + [self._ours], list(writes) + unsent, watched,
            _LONGEST_WAIT if timeout is None else min(max(timeout, 0.0), _LONGEST_WAIT))
        if self._ours in readable:
            self._drain()
        self._check()
        for stream in unsent:
            if stream in writable and not stream.is_closed:
                stream.flush()
        return ([each for each in reads if each in readable]
                + [each for each in writes if each in writable] + gone)

    def sleep(self, seconds):
        # type: (float) -> None
        """Wait some seconds, sending what is unsent; being woken ends it."""
        end = monotonic() + seconds
        self._check()
        while monotonic() < end:
            if self._is_woken(end - monotonic()):
                return

    def _is_woken(self, timeout):
        # type: (float) -> bool
        return self._ours in self.wait([self._ours], timeout)

    def _check(self):
        # type: () -> None
        if self.is_stopped:
            raise Stopped("the connection is being ended")

    def _drain(self):
        # type: () -> None
        try:
            while self._ours.recv(4096):
                pass
        except socket.error:
            pass


def _poll(reads, writes, watched, timeout):
    # type: (List[Any], List[Any], List[Any], float) -> List[List[Any]]
    """Return what is ready of each of the three; the same stream can be in several."""
    interests = ((reads, READ), (writes, WRITE), (watched, HANG_UP))
    wanted = {}  # type: Dict[int, int]
    for waited, event in interests:
        for each in waited:
            wanted[each.fileno()] = wanted.get(each.fileno(), 0) | event
    poller = Poller(is_large=False)
    for descriptor, events in wanted.items():
        poller.register(descriptor, events)
    ready = dict(poller.poll(timeout))
    return [[each for each in waited if ready.get(each.fileno(), 0) & event]
            for waited, event in interests]
