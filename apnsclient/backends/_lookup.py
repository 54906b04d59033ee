"""Name lookups with a deadline.

``getaddrinfo()`` has no timeout: if the name server does not respond it returns after half a
minute, and sometimes never. glibc's resolver has internal locks; if a process forks while another
thread is looking a name up, the child inherits them locked for ever. So a lookup runs in another
thread, and the caller waits until it is done or the deadline has come.

A lookup that hangs cannot be ended. So a later caller that needs the same name waits for that one,
and a program that tries again and again does not start another one each time. Apart from that each
connection has a lookup of its own, because Apple's addresses change.
"""

from __future__ import absolute_import, division, print_function

import socket

from .._compat import MYPY, PY2
from .._process import PerProcess
from ._names import parse_ip

if MYPY:
    from typing import Any, Callable, List, Optional

    from ._sockets import Deadline

    Found = List[Any]
    Resolve = Callable[[str, int], Found]

__all__ = ["Lookup", "Lookups"]

_LONGEST_WAIT = 3600.0

# Python 2.7 has one lock for all imports: if a module sends while it is being imported, a thread
# that had to import this codec would deadlock with it.
u"a".encode("idna")


class Lookup(object):
    """One lookup, which runs in another thread.

    :param done: an event that is set when it is done.

    :ivar name: host and port.
    """

    def __init__(self, resolve, host, port, done):
        # type: (Resolve, str, int, Any) -> None
        self.done = done
        self._resolve = resolve
        self.name = host, port
        self._found = None  # type: Optional[Found]
        self._problem = socket.error("the lookup was interrupted")  # type: Exception

    @property
    def is_done(self):
        # type: () -> bool
        """True once there is a result."""
        return bool(self.done.is_set())

    def run(self):
        # type: () -> None
        """Look the name up."""
        try:
            self._found = self._resolve(*self.name)
        except Exception as error:
            if not PY2:
                error.__traceback__ = None  # It would keep this frame alive.
            self._problem = error
        finally:
            self.done.set()

    def result(self):
        # type: () -> Found
        """Return the result of the resolver, or raise its exception."""
        if self._found is None:
            raise self._problem
        return self._found


class _Known(object):
    """The lookup of an IP address, for which nobody has to be asked."""

    is_done = True

    def __init__(self, resolve, host, port):
        # type: (Resolve, str, int) -> None
        self._resolve = resolve
        self.name = host, port

    def result(self):
        # type: () -> Found
        return self._resolve(*self.name)


class Lookups(object):
    """Looks names up.

    :param resolve: called with host and port, returns what ``getaddrinfo()`` does.
    :param start: called with a function without arguments; runs it in another thread.
    :param new_event: returns a new event that several threads may wait for.
    :param sleep: waits for an event; called with it and the longest time in seconds.
    """

    def __init__(self, resolve, start, new_event, sleep):
        # type: (Resolve, Callable[[Any], Any], Callable[[], Any], Callable[[Any, float], Any]) -> None  # noqa: E501
        self._resolve = resolve
        self._start = start
        self._new_event = new_event
        self._sleep = sleep
        # The last lookup of each name that was not done when its caller stopped waiting.
        self._late = PerProcess()

    def find(self, host, port, deadline):
        # type: (str, int, Deadline) -> Optional[Found]
        """Return the result of the resolver, or None if there is none when the deadline comes.

        For an IP address there is nothing to wait for.
        """
        if parse_ip(host) is not None:
            return self._resolve(host, port)
        lookup = self._begin(host, port)
        try:
            while not lookup.is_done:
                if deadline.is_over():
                    return None
                left = deadline.left()
                self._sleep(lookup.done, _LONGEST_WAIT if left is None
                            else min(left, _LONGEST_WAIT))
        finally:
            # Also if the wait was interrupted.
            self._note_late(lookup)
        return lookup.result()

    def start(self, host, port):
        # type: (str, int) -> Any
        """Look a name up while the caller goes on.

        :return: an object with ``is_done`` (bool), and with ``result()``, which returns or raises
            what the resolver has then.
        """
        if parse_ip(host) is not None:
            return _Known(self._resolve, host, port)
        lookup = self._begin(host, port)
        self._note_late(lookup)
        return lookup

    def _begin(self, host, port):
        # type: (str, int) -> Lookup
        """Return a lookup that has begun: an earlier one where that has not ended yet."""
        lookup = self._late.get(dict).get((host, port))  # type: Optional[Lookup]
        if lookup is None or lookup.is_done:
            lookup = Lookup(self._resolve, host, port, self._new_event())
            self._start(lookup.run)
        return lookup

    def _note_late(self, lookup):
        # type: (Lookup) -> None
        """Remember a lookup that nobody waits for any more, for those who come before its end."""
        if not lookup.is_done:
            self._late.get(dict)[lookup.name] = lookup
