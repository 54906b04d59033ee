"""The green back-end: the default one, except that greenlets wait where threads would.

It needs no monkey-patching, and works with it. Sockets are the system's own, non-blocking, and TLS
happens in memory, so that the event loop watches a socket only while somebody waits for it. Each
wait uses the event loop of the thread that it happens in.
"""

from __future__ import absolute_import, division, print_function

import _socket
import atexit
import logging
import select
import socket
import time
from collections import deque

import six

from .._compat import MYPY
from .._extras import not_installed
from .._interrupts import raises_nothing
from .._process import PerProcess
from ..errors import ConnectionLost
from . import _sockets
from ._connection import Connection
from ._lookup import Lookups
from ._names import parse_ip
from ._tls_backend import TlsBackend
from ._tls_certificate import TlsCertificate
from ._waiting import Waiting, Waker

try:
    import gevent
    import gevent.event
    import gevent.exceptions
    import gevent.monkey
    import gevent.socket
except ImportError as problem:
    six.raise_from(not_installed("the back-end " + __name__, "gevent", problem), problem)

if MYPY:
    from typing import Any, Callable, Deque, Dict, Iterable, List, Optional, Set

    from ._sockets import Interest

__all__ = ["Backend", "Certificate", "Connection"]

#: Directions that the event loop knows.
_READ, _WRITE = 1, 2
_LONGEST_WAIT = 3600.0
#: Seconds between two looks at a lock that somebody else holds.
_SHORTEST_NAP, _LONGEST_NAP = 0.001, 0.02
#: Seconds that connections are given at the interpreter's exit which are being closed already.
_LAST_MOMENTS = 2.0

_THREADS = six.moves._thread.__name__
#: What there is of threads below gevent's monkey-patching.
_thread_ident = gevent.monkey.get_original(_THREADS, "get_ident")
_thread_local = gevent.monkey.get_original(_THREADS, "_local")
_thread_sleep = gevent.monkey.get_original("time", "sleep") or time.sleep

#: Of each thread whether greenlets have waited there.
_thread = _thread_local()

_processes = PerProcess()


def _this_process():
    # type: () -> Any
    """Return what is another object in a forked child; there gevent learns of the fork first.

    From ``gevent.os.fork()`` it knows already, from ``os.fork()`` it does not. Twice does no harm.
    """
    return _processes.get(object, lambda inherited: gevent.reinit())


_this_process()


def _this_hub():
    # type: () -> Any
    """Return the event loop's greenlet of this thread, for somebody who has to wait.

    :raises gevent.exceptions.BlockingSwitchOutError: if it is that greenlet which asks.
    """
    hub = gevent.get_hub()
    if gevent.getcurrent() is hub:
        raise gevent.exceptions.BlockingSwitchOutError(
            "a callback of the event loop cannot wait for anything: spawn a greenlet")
    _thread.is_green = True
    return hub


@raises_nothing
def _sleep(event, timeout):
    # type: (Any, float) -> None
    """Let others run until an event or a time. What is thrown into the greenlet passes."""
    event.wait(timeout)


@raises_nothing
def _pause():
    # type: () -> None
    """Let others run that can, as :func:`_sleep` does."""
    gevent.sleep(0)


class _System(object):
    """The functions of the module ``select`` below gevent's monkey-patching."""

    def __init__(self):
        # type: () -> None
        for name in ("select", "poll"):
            if hasattr(select, name):  # Windows has no poll().
                setattr(self, name, gevent.monkey.get_original("select", name))


_system = _System()


class _GreenWaiting(Waiting):
    """Lets other greenlets run.

    A fork copies the greenlets that wait. Those of the child must not go on with what is their
    parent's, a handshake for example: there an exception ends their wait.
    """

    def wait(self, interests, timeout, waker=None):
        # type: (Iterable[Interest], Optional[float], Any) -> List[Any]
        """Wait with the event loop; see the base class.

        :raises gevent.exceptions.BlockingSwitchOutError: in a callback of the event loop.
        """
        process, hub = _this_process(), _this_hub()
        timeout = _LONGEST_WAIT if timeout is None else min(timeout, _LONGEST_WAIT)
        event = gevent.event.Event()
        if waker is not None and waker.begin(_ending(hub.loop, event)):
            timeout = 0
        ready = []  # type: List[Any]
        if timeout > 0:
            ready = self._watch(interests, timeout, hub.loop, event)
        else:
            _pause()
        _expect_process(process)
        if not ready:
            # The event loop looks at the time first, and may never have come to the sockets.
            ready = _sockets.wait(interests, 0, _system)
        if waker is not None and waker.finish():
            ready.append(waker)
        return ready

    def _watch(self, interests, timeout, loop, event):
        # type: (Iterable[Interest], float, Any, Any) -> List[Any]
        """Wait until something can be done, or the event is set; return the sockets concerned."""
        ready = []  # type: List[Any]

        def note(waited):
            # type: (Any) -> None
            ready.append(waited)
            event.set()

        watchers = []  # type: List[Any]
        try:
            for waited, is_write in interests:
                watchers.append(loop.io(waited.fileno(), _WRITE if is_write else _READ))
                watchers[-1].start(note, waited)
            _sleep(event, timeout)
        finally:
            for watcher in watchers:
                watcher.stop()
                watcher.close()
        return ready

    def create_waker(self):
        # type: () -> Waker
        """Return a waker for greenlets of any thread; see the base class."""
        return Waker()

    def resolve(self, host, port, deadline):
        # type: (str, int, _sockets.Deadline) -> Optional[List[Any]]
        """Ask gevent's resolver, in a greenlet; see the base class."""
        process = _this_process()
        found = _this_lookups().find(host, port, deadline)  # type: Optional[List[Any]]
        _expect_process(process)
        return found

    def start_lookup(self, host, port):
        # type: (str, int) -> Any
        """Ask gevent's resolver, in a greenlet; see the base class."""
        return _Lookup(host, port)


class _Lookup(object):
    """A lookup that whoever asks for its result may go on with, in any thread.

    The greenlet that makes it ends only if the event loop of its thread runs. In a thread where
    nobody waits any more it may never do so; then another one is made where it is asked for.
    """

    def __init__(self, host, port):
        # type: (str, int) -> None
        self._name = host, port
        self._lookups = None  # type: Optional[Lookups]
        self._made = None  # type: Any
        self._make()

    def _make(self):
        # type: () -> None
        lookups = _this_lookups()
        if lookups is not self._lookups:
            self._lookups, self._made = lookups, lookups.start(*self._name)

    @property
    def is_done(self):
        # type: () -> bool
        """True once there is a result."""
        if not self._made.is_done:
            self._make()
        return bool(self._made.is_done)

    def result(self):
        # type: () -> List[Any]
        """Return the result of the resolver, or raise its exception."""
        found = self._made.result()  # type: List[Any]
        return found


def _this_lookups():
    # type: () -> Lookups
    """Return the lookups of this thread: a greenlet ends only if its event loop runs."""
    hub = _this_hub()
    if getattr(_thread, "hub", None) is not hub:
        _thread.hub = hub
        _thread.lookups = Lookups(_ask, gevent.spawn, gevent.event.Event, _sleep)
    found = _thread.lookups  # type: Lookups
    return found


def _ending(loop, event):
    # type: (Any, Any) -> Callable[[], None]
    """Return a function with which any thread sets an event of the thread that has the loop."""
    def end():
        # type: () -> None
        try:
            loop.run_callback_threadsafe(event.set)
        except Exception:
            pass  # The loop is gone, with all that waited.

    return end


def _expect_process(process):
    # type: (Any) -> None
    """Raise if the greenlet is a copy, which a fork has made in the middle of a wait."""
    if _this_process() is not process:
        raise ConnectionLost("the process was forked in the middle of a wait: the connection "
                             "belongs to the parent process")


def _ask(host, port):
    # type: (str, int) -> List[Any]
    if parse_ip(host) is not None:
        # The system has nobody to ask, and so there is nothing to wait for: gevent's resolver has a
        # thread do it, and all of them may be busy with names.
        return _socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
    return gevent.socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)


class _GreenEvent(object):
    """An event that greenlets of any thread wait for, and any thread sets.

    ``gevent.event.Event`` belongs to the thread that waited first, which may have ended.
    """

    def __init__(self):
        # type: () -> None
        self._is_set = False
        # What ends the wait of each, whose own event stays in its thread.
        self._waiters = deque()  # type: Deque[Callable[[], None]]

    def set(self):
        # type: () -> None
        """Set the event, which ends all waits for it."""
        self._is_set = True
        while self._waiters:
            try:
                end = self._waiters.popleft()
            except IndexError:
                break
            end()

    def wait(self, timeout):
        # type: (float) -> bool
        """Wait for at most ``timeout`` seconds; return whether the event is set.

        :raises gevent.exceptions.BlockingSwitchOutError: in a callback of the event loop.
        """
        event = gevent.event.Event()
        end = _ending(_this_hub().loop, event)
        self._waiters.append(end)
        try:
            # A finalizer, or another thread, may have set it just now.
            if not self._is_set:
                # Without a time the loop would take it for a wait without an end.
                _sleep(event, min(timeout, _LONGEST_WAIT))
        finally:
            try:
                self._waiters.remove(end)
            except ValueError:
                pass  # It was woken.
        return self._is_set


class _Holder(object):
    """A greenlet that holds a lock, and how often."""

    __slots__ = ("depth", "greenlet", "thread")

    def __init__(self, greenlet, thread):
        # type: (Any, int) -> None
        self.greenlet = greenlet
        self.thread = thread
        self.depth = 1


class _GreenLock(object):
    """A lock that greenlets of any thread share, reentrant for each greenlet.

    ``gevent.lock.RLock`` takes several steps to note who holds it. Between two of them the garbage
    collector may finalize something that needs the lock, in the same greenlet, which would then
    wait for itself. Here each change is one operation of a dict.

    A greenlet that has to wait looks again and again. That is rare: greenlets of one thread do not
    switch while they hold the lock of a pool, but for a finalizer that closes a connection.
    """

    def __init__(self):
        # type: () -> None
        self._holders = {}  # type: Dict[None, _Holder]

    def acquire(self, blocking=True, timeout=-1):
        # type: (bool, float) -> bool
        """Take the lock; return whether it was taken.

        :param blocking: whether to wait for it (bool).
        :param timeout: longest wait in seconds (float), -1 waits for ever.
        """
        mine = _Holder(gevent.getcurrent(), _thread_ident())
        if self._take(mine):
            return True
        if not blocking:
            return False
        deadline = _sockets.Deadline(None if timeout < 0 else timeout)
        nap = 0.0
        while not self._take(mine):
            if deadline.is_over():
                return False
            self._rest(mine, nap)
            nap = min(nap * 2 or _SHORTEST_NAP, _LONGEST_NAP)
        return True

    __enter__ = acquire

    def _take(self, mine):
        # type: (_Holder) -> bool
        holder = self._holders.setdefault(None, mine)
        if holder is mine:
            return True
        if holder.greenlet is not mine.greenlet:
            return False
        holder.depth += 1
        return True

    def _rest(self, mine, nap):
        # type: (_Holder, float) -> None
        holder = self._holders.get(None)
        if holder is None:
            return
        if gevent.getcurrent() is gevent.get_hub() and holder.thread != mine.thread:
            # A finalizer in the event loop itself. Another thread does not need this one to go on.
            _thread_sleep(_SHORTEST_NAP)
        else:
            gevent.sleep(nap)

    def release(self):
        # type: () -> None
        """Give the lock back.

        :raises RuntimeError: if this greenlet does not hold it.
        """
        holder = self._holders.get(None)
        if holder is None or holder.greenlet is not gevent.getcurrent():
            raise RuntimeError("the lock is not held by the greenlet that releases it")
        if holder.depth > 1:
            holder.depth -= 1
        else:
            del self._holders[None]

    def __exit__(self, *exc_info):
        # type: (Any) -> None
        self.release()


class Certificate(TlsCertificate):
    """A provider's certificate; see :class:`apnsclient.backends.stdio.Certificate`."""

    logger = logging.getLogger(__name__)


class Backend(TlsBackend):
    """Opens connections with pyOpenSSL over sockets for which greenlets wait.

    Its options are those of :class:`apnsclient.backends.stdio.Backend`.

    :raises ~apnsclient.errors.CertificateError: if ``ca_file`` or ``ca_string`` cannot be used.
    :raises ValueError: if ``proxy`` cannot be used.
    """

    certificate_class = Certificate
    waiting = _GreenWaiting()

    def create_lock(self):
        # type: () -> Any
        """Return a new lock, reentrant for each greenlet, that threads may share."""
        return _GreenLock()

    def caller_id(self):
        # type: () -> Any
        """Return the identity of the greenlet; see the base class."""
        return id(gevent.getcurrent())

    def create_event(self):
        # type: () -> Any
        """Return a new event that greenlets wait for, and any thread may set."""
        return _GreenEvent()

    def close_idle(self):
        # type: () -> None
        """Close the pooled connections; a greenlet of its own waits until that is done.

        Finalizers run in the middle of anything, also in the event loop, where nobody can wait.
        """
        if _exit.has_begun or not getattr(_thread, "is_green", False):
            super(Backend, self).close_idle()
        elif self.idle_count():
            _exit.note(gevent.spawn(super(Backend, self).close_idle))


class _Exit(object):
    """Greenlets that close connections, which the exit of the interpreter waits for."""

    def __init__(self):
        # type: () -> None
        self.has_begun = False
        self._closing = set()  # type: Set[Any]

    def note(self, greenlet):
        # type: (Any) -> None
        """Note a greenlet that closes connections."""
        self._closing.add(greenlet)
        greenlet.rawlink(self._closing.discard)

    def wait(self):
        # type: () -> None
        """Wait for those of this thread; from here on nothing is left to other greenlets."""
        self.has_begun = True
        hub = gevent.get_hub()
        ours = [one for one in list(self._closing) if one.parent is hub]
        # The timeout of joinall() counts from when the event loop ran the last time.
        with gevent.Timeout(_LAST_MOMENTS, False):
            gevent.joinall(ours)


_exit = _Exit()
atexit.register(_exit.wait)
