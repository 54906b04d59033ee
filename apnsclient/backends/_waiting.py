"""How a back-end waits: the one thing in which blocking and green back-ends differ.

All that a TLS connection does is tried first, on non-blocking sockets. Only where nothing can be
done at once somebody waits, and only here: for sockets, and for the system's resolver.
"""

from __future__ import absolute_import, division, print_function

import socket
import threading

import six

from .._compat import MYPY, monotonic
from .._process import this_process
from ..errors import ConnectionLost
from . import _sockets
from ._lookup import Lookups
from ._sockets import Deadline

if MYPY:
    from typing import Any, Callable, Iterable, List, Optional, Sequence

    from ._sockets import Interest

__all__ = ["ThreadWaiting", "Waiting", "Waker"]


class Waker(object):
    """Ends a wait from elsewhere. One wait at a time uses it, and it may be woken by anybody.

    There is no lock, because a signal handler or a finalizer may run between any two steps of a
    wait, and of :meth:`wake` itself. Each wait has a list of its own, which holds the function that
    ends it. :meth:`wake` empties the list when it has called the function, so that many of them
    call it once. A flag, which is set before, is for the wait that has not begun yet.
    """

    def __init__(self):
        # type: () -> None
        self._is_woken = False
        self._wait = []  # type: List[Callable[[], None]]

    def wake(self):
        # type: () -> None
        """End the wait that is in progress, or the next one. Never raises or blocks."""
        self._is_woken = True
        wait = self._wait
        for end in wait:
            end()
        del wait[:]

    def begin(self, end):
        # type: (Callable[[], None]) -> bool
        """Begin a wait.

        :param end: what :meth:`wake` calls to end it; raises nothing.
        :return: whether it is over before it has begun (bool). :meth:`finish` is called even so.
        """
        self._wait = [end]
        return self._is_woken

    def finish(self):
        # type: () -> bool
        """Finish a wait; return True if it was woken, which is used up then.

        Not called for a wait that an exception has ended: the next one is woken instead.
        """
        self._wait = []
        if not self._is_woken:
            return False
        self._is_woken = False
        return True

    def close(self):
        # type: () -> None
        """Give back what belongs to the system. A :meth:`wake` that follows does nothing."""


class Waiting(object):
    """How callers wait, be they threads or greenlets; one object serves all of them."""

    def wait(self, interests, timeout, waker=None):
        # type: (Iterable[Interest], Optional[float], Any) -> List[Any]
        """Wait until something can be done; return the sockets concerned.

        May return none of them before the time is up. A socket that has failed or was hung up
        counts as ready, whatever was asked for.

        :param interests: pairs of a socket and whether it is to be written (bool) or read. A socket
            may be in two of them. There is at least one where there is no waker.
        :param timeout: longest wait in seconds (float), None for no limit; with 0 that is returned
            which is ready now.
        :param waker: what :meth:`create_waker` has returned, or None. If it has ended the wait, it
            is in the list as well.
        """
        raise NotImplementedError("%s must implement wait()" % type(self).__name__)

    def create_waker(self):
        # type: () -> Waker
        """Return a new Waker, for waits in this process.

        :raises socket.error: if there are no descriptors left.
        """
        raise NotImplementedError("%s must implement create_waker()" % type(self).__name__)

    #: Returns the time that waiting is measured by: seconds (float) that never go back.
    clock = staticmethod(monotonic)

    def deadline(self, timeout):
        # type: (Optional[float]) -> Deadline
        """Return the Deadline that is ``timeout`` seconds (float, None: never) from now."""
        return Deadline(timeout, self.clock)

    def resolve(self, host, port, deadline):
        # type: (str, int, Deadline) -> Optional[List[Any]]
        """Return what ``socket.getaddrinfo()`` returns for TCP; raise what it raises.

        :return: None if the resolver has not responded by the deadline.
        """
        raise NotImplementedError("%s must implement resolve()" % type(self).__name__)

    def start_lookup(self, host, port):
        # type: (str, int) -> Any
        """Begin to do what :meth:`resolve` does, and return at once.

        :return: an object with ``is_done`` (bool), and with ``result()``, which returns or raises
            what there is then.
        """
        raise NotImplementedError("%s must implement start_lookup()" % type(self).__name__)

    def wait_for(self, interests, deadline):
        # type: (Sequence[Interest], Deadline) -> bool
        """Wait until something can be done; return False if the deadline has come, ready or not.

        :param interests: what :meth:`wait` takes, at least one.
        """
        while not deadline.is_over():
            if self.wait(interests, deadline.left()):
                return True
        return False


class ThreadWaiting(Waiting):
    """Blocks the calling thread."""

    def __init__(self):
        # type: () -> None
        self._lookups = Lookups(_ask_system, _start_thread, threading.Event, _sleep)

    def wait(self, interests, timeout, waker=None):
        # type: (Iterable[Interest], Optional[float], Any) -> List[Any]
        """Wait with ``select()`` or ``poll()``; see the base class."""
        if waker is None:
            return _sockets.wait(interests, timeout)
        found = waker.wait(interests, timeout)  # type: List[Any]
        return found

    def create_waker(self):
        # type: () -> Waker
        """Return a waker for threads; see the base class."""
        return _ThreadWaker()

    def resolve(self, host, port, deadline):
        # type: (str, int, Deadline) -> Optional[List[Any]]
        """Ask the system's resolver, in a thread; see the base class."""
        return self._lookups.find(host, port, deadline)

    def start_lookup(self, host, port):
        # type: (str, int) -> Any
        """Ask the system's resolver, in a thread; see the base class."""
        return self._lookups.start(host, port)


class _ThreadWaker(Waker):
    """Ends a wait with a byte, for which the wait watches a socket beside the others.

    A byte that comes when its wait has ended otherwise is received by the next one, and means
    nothing there.
    """

    def __init__(self):
        # type: () -> None
        super(_ThreadWaker, self).__init__()
        self._process = this_process()
        self._receiver, self._sender = _sockets.open_pair()

    def wait(self, interests, timeout):
        # type: (Iterable[Interest], Optional[float]) -> List[Any]
        """Do what :meth:`Waiting.wait` does.

        :raises ~apnsclient.errors.ConnectionLost: in a forked child of the process that made it.
        """
        if self._process != this_process():
            raise ConnectionLost("the waker belongs to the parent process; create another one "
                                 "after fork()")
        watched = list(interests)
        watched.append((self._receiver, False))
        is_over = self.begin(self._end)
        ready = _sockets.wait(watched, 0.0 if is_over else timeout)
        if self._receiver in ready:
            ready.remove(self._receiver)
            _sockets.try_receive(self._receiver)
        if self.finish():
            ready.append(self)
        return ready

    def _end(self):
        # type: () -> None
        """Send a byte, unless the wait is that of another thread of the parent process."""
        if self._process != this_process():
            return
        try:
            _sockets.try_send(self._sender, b"\0")
        except socket.error:
            pass  # It is closed.

    def close(self):
        # type: () -> None
        """Close the sockets; see the base class."""
        self._sender.close()
        self._receiver.close()

    def __del__(self):
        # type: () -> None
        """Close them before they warn that nobody has."""
        try:
            self.close()
        except AttributeError:
            pass  # There were no descriptors left.


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
