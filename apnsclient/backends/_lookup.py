"""Name lookups that nobody waits for longer than he has time.

``getaddrinfo()`` takes no timeout: with a name server that keeps silent it returns after half a
minute, and sometimes never. glibc's resolver has locks of its own; where a process forks while
another thread looks a name up, the child inherits them locked, and there is nobody to unlock them.
So a lookup runs aside, and whoever needs it waits until it is over or his deadline has come.

Nothing can end a lookup that hangs. So whoever asks for the same name later waits for that one, and
a program that tries again and again does not start one more each time. Apart from that each
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
    Ask = Callable[[str, int], Found]

__all__ = ["Lookups"]

_LONGEST_WAIT = 3600.0

# Python 2.7 has one lock for all imports: a thread that had to import this codec would wait for a
# module that sends while it is imported, and that one for the thread.
u"a".encode("idna")


class _Lookup(object):
    """One lookup, which runs aside.

    :param over: an event, which is set when it is over.
    """

    def __init__(self, ask, host, port, over):
        # type: (Ask, str, int, Any) -> None
        self.over = over
        self._ask = ask
        self._host = host
        self._port = port
        self._found = None  # type: Optional[Found]
        self._problem = socket.error("the lookup was interrupted")  # type: Exception

    def run(self):
        # type: () -> None
        """Ask the resolver."""
        try:
            self._found = self._ask(self._host, self._port)
        except Exception as error:
            if not PY2:
                error.__traceback__ = None  # It would keep this frame alive.
            self._problem = error
        finally:
            self.over.set()

    def result(self):
        # type: () -> Found
        """Return what was found, or raise what the resolver raised."""
        if self._found is None:
            raise self._problem
        return self._found


class Lookups(object):
    """Looks names up.

    :param ask: asks the resolver; called with host and port, returns what ``getaddrinfo()`` does.
    :param start: called with a function without arguments; has it run aside.
    :param new_event: returns a new event that several may wait for.
    :param sleep: waits for an event; called with it and the longest time in seconds.
    """

    def __init__(self, ask, start, new_event, sleep):
        # type: (Ask, Callable[[Any], Any], Callable[[], Any], Callable[[Any, float], Any]) -> None
        self._ask = ask
        self._start = start
        self._new_event = new_event
        self._sleep = sleep
        # The last lookup of each name that was not over when somebody waited no longer.
        self._late = PerProcess()

    def find(self, host, port, deadline):
        # type: (str, int, Deadline) -> Optional[Found]
        """Return what the resolver finds, None if it has found nothing when the deadline comes.

        An IP address is not looked up, and nobody waits for it.
        """
        if parse_ip(host) is not None:
            return self._ask(host, port)
        late = self._late.get(dict)  # type: Dict[Any, _Lookup]
        lookup = late.get((host, port))
        if lookup is None or lookup.over.is_set():
            lookup = _Lookup(self._ask, host, port, self._new_event())
            self._start(lookup.run)
        try:
            while not lookup.over.is_set():
                if deadline.is_over():
                    return None
                left = deadline.left()
                self._sleep(lookup.over, _LONGEST_WAIT if left is None
                            else min(left, _LONGEST_WAIT))
        finally:
            # Also if the wait was interrupted.
            if not lookup.over.is_set():
                late[host, port] = lookup
        return lookup.result()
