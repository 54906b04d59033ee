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
    from typing import Any, Callable, Dict, List, Optional

    from ._sockets import Deadline

    Found = List[Any]
    Resolve = Callable[[str, int], Found]

__all__ = ["Lookups"]

_LONGEST_WAIT = 3600.0

# Python 2.7 has one lock for all imports: if a module sends while it is being imported, a thread
# that had to import this codec would deadlock with it.
u"a".encode("idna")


class _Lookup(object):
    """One lookup, which runs in another thread.

    :param done: an event that is set when it is done.
    """

    def __init__(self, resolve, host, port, done):
        # type: (Resolve, str, int, Any) -> None
        self.done = done
        self._resolve = resolve
        self._host = host
        self._port = port
        self._found = None  # type: Optional[Found]
        self._problem = socket.error("the lookup was interrupted")  # type: Exception

    def run(self):
        # type: () -> None
        """Look the name up."""
        try:
            self._found = self._resolve(self._host, self._port)
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
        late = self._late.get(dict)  # type: Dict[Any, _Lookup]
        lookup = late.get((host, port))
        if lookup is None or lookup.done.is_set():
            lookup = _Lookup(self._resolve, host, port, self._new_event())
            self._start(lookup.run)
        try:
            while not lookup.done.is_set():
                if deadline.is_over():
                    return None
                left = deadline.left()
                self._sleep(lookup.done, _LONGEST_WAIT if left is None
                            else min(left, _LONGEST_WAIT))
        finally:
            # Also if the wait was interrupted.
            if not lookup.done.is_set():
                late[host, port] = lookup
        return lookup.result()
