"""Non-blocking sockets: deadlines, waiting, and the options that connections are opened with.

A thread never waits for a socket in any other way than :func:`wait`, which is ``select()``, or
``poll()`` for descriptors that ``select()`` cannot take, and which no signal cuts short.
"""

from __future__ import absolute_import, division, print_function

import _socket
import errno
import math
import os
import select
import socket
import struct
from itertools import chain, repeat, starmap

from .._compat import MYPY, PY2, monotonic

if MYPY:
    from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple

    Interest = Tuple[Any, bool]

try:
    import fcntl
    import termios
except ImportError:  # Windows
    fcntl = termios = None  # type: ignore[assignment]

__all__ = [
    "Deadline", "SystemSocket", "abandon", "describe", "finish_connect", "open_pair", "open_socket",
    "set_options", "start_connect", "try_receive", "try_send", "unacknowledged", "wait",
]

#: First descriptor that ``select()`` cannot take (FD_SETSIZE of every common C library).
SELECT_LIMIT = 1024
#: Seconds of silence after which TCP probes the peer; NAT boxes forget idle connections in minutes.
KEEPALIVE_IDLE = 60
#: Seconds between two probes.
KEEPALIVE_INTERVAL = 20
#: Probes without a response after which the connection counts as lost.
KEEPALIVE_PROBES = 4

#: Flags for ``send()``: no SIGPIPE from a connection that is gone, where the system has the flag.
#: An int, because to join enums takes microseconds.
SEND_FLAGS = int(getattr(socket, "MSG_NOSIGNAL", 0))

#: How the system lays out the value of SO_LINGER: on and off, and seconds.
_LINGER = "hh" if os.name == "nt" else "ii"
_LONGEST_WAIT = 3600.0
_RECEIVE_SIZE = 65536
_NOT_NOW = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR)
_IN_PROGRESS = (errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EALREADY, errno.EINTR)


class Deadline(object):
    """A moment that an operation must not outlast.

    :param timeout: seconds from now (float); less than 0 counts as 0, None is never.
    :param clock: returns the time in seconds (float), which never goes back.
    """

    __slots__ = ("_clock", "_end", "timeout")

    def __init__(self, timeout, clock=monotonic):
        # type: (Optional[float], Callable[[], float]) -> None
        self.timeout = timeout
        self._clock = clock
        self._end = None if timeout is None else clock() + max(timeout, 0)

    def left(self):
        # type: () -> Optional[float]
        """Return the seconds that remain, at least 0.0; None if there is no end."""
        return None if self._end is None else max(self._end - self._clock(), 0.0)

    def is_over(self):
        # type: () -> bool
        """Return True if the moment has come."""
        return self._end is not None and self._clock() >= self._end


class SystemSocket(_socket.socket):
    """A socket of the system's that, left to the garbage collector, closes without a warning.

    It is the same where gevent has put something else in place of ``socket.socket``, which would
    belong to one thread and wait in ways of its own.

    Connections that a program drops without closing are no fault here: sessions close theirs when
    they are collected, and collection takes a cycle in any order.
    """

    if not PY2:
        def __del__(self):
            # type: () -> None
            self.close()


def open_socket(family, kind, protocol):
    # type: (int, int, int) -> Any
    """Return a new non-blocking TCP socket with keep-alive on and Nagle's algorithm off.

    :raises socket.error: if the system has no such sockets.
    """
    made = SystemSocket(family, kind, protocol)
    try:
        _prepare(made)
        set_options(made)
    except BaseException:
        made.close()
        raise
    return made


#: Not that of the module socket, which gevent may have replaced; Windows has no other.
_PAIR_FAMILY = getattr(socket, "AF_UNIX", socket.AF_INET)
_system_pair = getattr(_socket, "socketpair", getattr(socket, "socketpair", None))  # type: Any


def open_pair():
    # type: () -> Tuple[Any, Any]
    """Return two new non-blocking sockets that are connected to each other.

    :raises socket.error: if there are no descriptors left.
    """
    if PY2:
        ends = _system_pair()  # type: Any
    else:
        # All of it is one call into C: an interrupt between two steps would leave sockets to the
        # garbage collector that warn of it.
        made = chain.from_iterable(starmap(_system_pair, [()]))
        ends = tuple(map(SystemSocket, repeat(_PAIR_FAMILY), repeat(socket.SOCK_STREAM), repeat(0),
                         map(_socket.socket.detach, made)))
    for end in ends:
        _prepare(end)
    return ends[0], ends[1]


def _prepare(made):
    # type: (Any) -> None
    """Make a socket non-blocking, and keep it from programs that are started."""
    made.setblocking(False)
    if PY2 and fcntl is not None:
        flags = fcntl.fcntl(made.fileno(), fcntl.F_GETFD)
        fcntl.fcntl(made.fileno(), fcntl.F_SETFD, flags | fcntl.FD_CLOEXEC)


def set_options(connected):
    # type: (Any) -> None
    """Switch keep-alive on for a TCP socket, and Nagle's algorithm off, as far as possible."""
    for level, option, value in _options():
        try:
            connected.setsockopt(level, option, value)
        except socket.error:
            pass  # These options help; a connection without them is better than none.


def _options():
    # type: () -> List[Tuple[int, int, int]]
    options = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
               (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    # macOS calls the idle time TCP_KEEPALIVE, and Python knows that name since 3.10 only.
    for name, value in (("TCP_KEEPIDLE", KEEPALIVE_IDLE), ("TCP_KEEPALIVE", KEEPALIVE_IDLE),
                        ("TCP_KEEPINTVL", KEEPALIVE_INTERVAL), ("TCP_KEEPCNT", KEEPALIVE_PROBES)):
        if hasattr(socket, name):
            options.append((socket.IPPROTO_TCP, getattr(socket, name), value))
    return options


def start_connect(made, address):
    # type: (Any, Any) -> None
    """Begin to connect; the socket becomes writable when that is decided.

    :raises socket.error: if it failed at once.
    """
    code = made.connect_ex(address)
    if code not in (0, errno.EISCONN) and code not in _IN_PROGRESS:
        raise socket.error(code, os.strerror(code))


def finish_connect(made):
    # type: (Any) -> None
    """Take the outcome of a connect whose socket has become writable.

    :raises socket.error: if it failed.
    """
    code = made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise socket.error(code, os.strerror(code))


def describe(error):
    # type: (BaseException) -> str
    """Return the text of an operating system's error, without its number."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def try_send(connected, data, flags=0):
    # type: (Any, Any, int) -> int
    """Send what can be sent at once; return the number of bytes, which may be 0.

    :param flags: flags for ``send()``, beside :data:`SEND_FLAGS`.
    :raises socket.error: if the connection has failed.
    """
    try:
        return int(connected.send(data, SEND_FLAGS | flags))
    except socket.error as error:
        if error.errno not in _NOT_NOW:
            raise
        return 0


def try_receive(connected):
    # type: (Any) -> Optional[bytes]
    """Receive what has come; b"" at the end of the stream, None when nothing is there now.

    :raises socket.error: if the connection has failed.
    """
    try:
        data = connected.recv(_RECEIVE_SIZE)  # type: bytes
        return data
    except socket.error as error:
        if error.errno not in _NOT_NOW:
            raise
        return None


def abandon(connected):
    # type: (Any) -> None
    """Have the next ``close()`` reset the connection: the peer sees that not all was taken."""
    try:
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(_LINGER, 1, 0))
    except socket.error:
        pass  # It has failed already.


def unacknowledged(connected):
    # type: (Any) -> int
    """Return how many bytes the peer's system has not acknowledged, 0 where that is not known."""
    request = getattr(termios, "TIOCOUTQ", None)
    if request is None:
        return 0
    try:
        packed = fcntl.ioctl(connected.fileno(), request, struct.pack("i", 0))
        return max(int(struct.unpack("i", packed)[0]), 0)
    except (IOError, OSError, ValueError):
        return 0


def wait(interests, timeout, system=select):
    # type: (Iterable[Interest], Optional[float], Any) -> List[Any]
    """Wait until something can be done; return the sockets concerned.

    May return none of them before the time is up: when a signal arrived, or after a very long wait.
    A socket that has failed or was hung up counts as ready, whatever was asked for.

    :param interests: pairs of a socket and whether it is to be written (bool) or read. A socket
        may be in two of them.
    :param timeout: longest wait in seconds (float), None for no limit; 0 does not wait.
    :param system: what has the functions of the module ``select``.
    """
    timeout = _LONGEST_WAIT if timeout is None else min(max(timeout, 0.0), _LONGEST_WAIT)
    sockets = {}  # type: Dict[int, Any]
    reads, writes = [], []  # type: List[int], List[int]
    for waited, is_write in interests:
        number = waited.fileno()
        sockets[number] = waited
        (writes if is_write else reads).append(number)
    try:
        if sockets and max(sockets) >= SELECT_LIMIT and hasattr(system, "poll"):
            ready = _poll(reads, writes, timeout, system)
        else:
            # Windows tells of a failed connect in the third set only.
            ready, writable, failed = system.select(reads, writes, writes, timeout)
            if writes:
                ready = set(ready + writable + failed)
    except (select.error, OSError) as error:
        if error.args[:1] != (errno.EINTR,):
            raise
        return []
    return [sockets[number] for number in ready]


def _poll(reads, writes, timeout, system):
    # type: (List[int], List[int], float, Any) -> Iterable[int]
    events = dict.fromkeys(reads, select.POLLIN)
    for number in writes:
        events[number] = events.get(number, 0) | select.POLLOUT
    poll = system.poll()
    for number, wanted in events.items():
        poll.register(number, wanted)
    # Rounded up: a wait that ends a little early would only go round again.
    return [number for number, _ in poll.poll(int(math.ceil(timeout * 1000)))]
