"""How a back-end waits: the one thing in which blocking and green back-ends differ.

All that a TLS connection does is tried first, on non-blocking sockets. Only where nothing can be
done at once somebody waits, and only here: for sockets, and for the system's resolver.
"""

from __future__ import absolute_import, division, print_function

import socket
import threading

import six

from .._compat import MYPY, monotonic
from . import _sockets
from ._lookup import Lookups
from ._sockets import Deadline

if MYPY:
    from typing import Any, Callable, Iterable, List, Optional

    from ._sockets import Interest

__all__ = ["ThreadWaiting", "Waiting"]


class Waiting(object):
    """Lets whoever calls wait, be it a thread or a greenlet; one object serves all of them."""

    def wait(self, interests, timeout):
        # type: (Iterable[Interest], Optional[float]) -> List[Any]
        """Wait until something can be done; return the sockets concerned.

        May return none of them before the time is up. A socket that has failed or was hung up
        counts as ready, whatever was asked for.

        :param interests: pairs of a socket and whether it is to be written (bool) or read; at least
            one, and none of the sockets twice.
        :param timeout: longest wait in seconds (float), None for no limit.
        """
        raise NotImplementedError("%s must implement wait()" % type(self).__name__)

    def clock(self):
        # type: () -> float
        """Return the time that waiting is measured by: seconds (float) that never go back."""
        return monotonic()

    def deadline(self, timeout):
        # type: (Optional[float]) -> Deadline
        """Return the Deadline that is ``timeout`` seconds (float, None: never) from now."""
        return Deadline(timeout, self.clock)

    def resolve(self, host, port, deadline):
        # type: (str, int, Deadline) -> Optional[List[Any]]
        """Return what ``socket.getaddrinfo()`` returns for TCP; raise what it raises.

        :return: None if there is no answer when the deadline comes.
        """
        raise NotImplementedError("%s must implement resolve()" % type(self).__name__)

    def wait_for(self, waited, is_write, deadline):
        # type: (Any, bool, Deadline) -> bool
        """Wait for one socket; return False if the deadline has come, ready or not.

        :param waited: the socket.
        :param is_write: whether to wait until it can be written (bool), or until it can be read.
        """
        while not deadline.is_over():
            if self.wait([(waited, is_write)], deadline.left()):
                return True
        return False


class ThreadWaiting(Waiting):
    """Blocks the calling thread."""

    def __init__(self):
        # type: () -> None
        self._lookups = Lookups(_ask_system, _start_thread, threading.Event, _sleep)

    def wait(self, interests, timeout):
        # type: (Iterable[Interest], Optional[float]) -> List[Any]
        """Wait with ``select()`` or ``poll()``; see the base class."""
        return _sockets.wait(interests, timeout)

    def resolve(self, host, port, deadline):
        # type: (str, int, Deadline) -> Optional[List[Any]]
        """Ask the system's resolver, in a thread; see the base class."""
        return self._lookups.find(host, port, deadline)


def _ask_system(host, port):
    # type: (str, int) -> List[Any]
    return socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)


def _start_thread(function):
    # type: (Callable[[], None]) -> None
    """Call a function in a thread that nobody waits for; in this one if there can be no other."""
    thread = threading.Thread(target=function, name="apnsclient name lookup")
    thread.daemon = True
    try:
        thread.start()
    except (RuntimeError, six.moves._thread.error):
        # No more threads can be had, or the interpreter exits.
        function()


def _sleep(event, timeout):
    # type: (Any, float) -> None
    event.wait(timeout)
