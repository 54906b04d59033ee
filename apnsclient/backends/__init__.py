"""What a back-end is: base classes for connections and for the factory that makes and pools them.

A back-end moves bytes through TLS and knows nothing of push notifications. Its author subclasses
:class:`BaseConnection`, :class:`BaseBackend` and
:class:`~apnsclient.certificate.BaseCertificate`; the pool is here and needs nothing further.

What always holds: a connection is used by one thread at a time, between being taken from the pool
and being released to it. The pool belongs to one process: in a forked child it is empty, and what
the child inherited is closed without a byte being written to it.
"""

from __future__ import absolute_import, division, print_function

import logging
import numbers

from .._compat import MYPY, monotonic
from .._defaults import default, resolve_default
from .._process import PerProcess, this_process
from ._events import Event
from ._pool import Pool, Slot

if MYPY:
    from datetime import timedelta
    from typing import Any, List, Mapping, Optional, Sequence, Tuple

    from ..certificate import BaseCertificate

    Address = Tuple[str, int]

__all__ = ["BaseBackend", "BaseConnection", "Slot"]


class BaseConnection(object):
    """One TLS connection to one address with one certificate.

    A subclass calls this constructor and gives the six methods that raise ``NotImplementedError``
    here. By the time it is handed out it is open and the server is verified.

    It need not be safe for use by several threads at once: a connection is used by one thread until
    it is given back, and then perhaps by another one. An idle connection may be closed by any
    thread, by a finalizer, and while the interpreter exits.

    A :class:`~apnsclient.errors.ConnectError` that ``peek``, ``read`` or ``write`` raises says that
    the server never let us in, as TLS 1.3 may tell only then: nothing was processed, and the
    exception passes to the caller of ``send()``. Any other exception leaves the outcome open.

    :param address: ``(host, port)`` that the connection leads to (str, int 1 to 65535).
    :param certificate: certificate that it was opened with.
    """

    # Names that a subclass is not to meet by accident have two underscores.

    #: State of the protocol that is spoken over this connection; put there by the session, and
    #: None as long as the connection has not been used. Back-ends leave it alone.
    protocol = None  # type: Any

    #: Name of the protocol (str) that the server chose of those offered with ALPN (RFC 7301); None
    #: if it chose none, or none was offered. A back-end that has ALPN sets it before it hands the
    #: connection out, and never after.
    alpn_protocol = None  # type: Optional[str]

    #: What the peer sent while :meth:`close` read to the end of its stream (bytes): an error frame
    #: may come that late. Empty where it sent nothing, or the back-end does not keep it.
    received_on_close = b""

    def __init__(self, address, certificate):
        # type: (Address, BaseCertificate) -> None
        self.address = address
        self.certificate = certificate
        #: Where the session reports what becomes of the connection (``logging.Logger``). A back-end
        #: may set another one than that which is named like the module of the class.
        self.logger = logging.getLogger(type(self).__module__)
        self.__process = this_process()
        self.touch()

    @property
    def is_inherited(self):
        # type: () -> bool
        """True in a forked child of the process that opened the connection.

        Then the connection is the parent's. :meth:`close` must not write to it: a close-notify of
        the child would end the parent's connection. :meth:`read`, :meth:`peek` and :meth:`write`
        are only reached by a generator that the child goes on with; they must raise.
        """
        return self.__process != this_process()

    def clock(self):
        # type: () -> float
        """Return the time that timeouts are measured by: seconds (float) that never go back.

        A connection for tests may have a time of its own, in which its :meth:`read` and
        :meth:`write` take as long as they say; see :meth:`BaseBackend.clock`.
        """
        return monotonic()

    def touch(self):
        # type: () -> None
        """Note that the connection is in use now; :meth:`is_outdated` counts from here."""
        self.__touched = self.clock()

    def is_outdated(self, delta):
        # type: (timedelta) -> bool
        """Return True if the connection has not been used for as long as ``delta`` (timedelta)."""
        return self.clock() - self.__touched >= delta.total_seconds()

    def unacknowledged(self):
        # type: () -> int
        """Return how many bytes, at most, of what was written have not reached the peer's system.

        Silence proves nothing about a message as long as there are any. 0 where that is not known.
        """
        return 0

    def reset(self):
        # type: () -> None
        """Forget whatever is buffered in either direction, before a new transmission.

        That includes what the TLS library holds, as :meth:`read` may have left part of a record.
        Called when a connection is taken from the pool, after the session has read what was there.
        Does nothing where nothing is buffered. Raises nothing.
        """
        raise NotImplementedError("%s must implement reset()" % type(self).__name__)

    def peek(self, size):
        # type: (int) -> Optional[bytes]
        """Read what has arrived, without waiting.

        The session looks like this before it uses a pooled connection again, and every now and then
        while it writes: a ``peek`` that only ever returns None loses late error frames and finds
        out about dead connections too late.

        Where a thread of the back-end reads from the socket, this is what it has taken by now,
        then the end of the stream or its failure; there is no need to wait for it.

        :param size: most bytes to return (int, at least 1).
        :return: 1 to ``size`` bytes, which are then no longer in the buffer; ``b""`` at the end of
            the stream, with or without a close-notify, as often as it is called; None when nothing
            can be read now.
        :raises Exception: whatever the TLS library raises when the connection has failed.
        """
        raise NotImplementedError("%s must implement peek()" % type(self).__name__)

    def read(self, size, timeout):
        # type: (int, Optional[float]) -> Optional[bytes]
        """Read, waiting until at least one byte is there.

        :param size: most bytes to return (int, at least 1). Fewer are returned as soon as there
            are any.
        :param timeout: longest wait in seconds (float), for the whole call and not for each byte;
            None waits for ever.
        :return: 1 to ``size`` bytes; None at the end of the stream, as often as it is called.
        :raises ~apnsclient.errors.Timeout: if nothing came in time (``socket.timeout`` will do).
            The connection stays usable.
        :raises Exception: anything else, when the connection has failed.
        """
        raise NotImplementedError("%s must implement read()" % type(self).__name__)

    def write(self, data, timeout):
        # type: (bytes, Optional[float]) -> None
        """Write all of it, or raise.

        After a failure nothing more is written, but :meth:`read` and :meth:`peek` still return
        what had arrived: it may be the gateway's reason for hanging up.

        :param data: bytes to write, at least one.
        :param timeout: longest time in seconds (float), for the whole call; None waits for ever.
        :raises ~apnsclient.errors.Timeout: if the peer did not take all in time.
        :raises Exception: anything else, when the connection has failed.
        """
        raise NotImplementedError("%s must implement write()" % type(self).__name__)

    def close(self):
        # type: () -> None
        """Close the connection, after everything that was written has gone out.

        Send a close-notify, end our side of the stream, and read to the end of the other one: a
        socket that is closed with unread data in it, such as the session tickets of TLS 1.3, resets
        the connection, and what was written last is lost. Take about a second for it, and give the
        peer half a second at the least.
        Where nothing was written, as to the feedback service, leave out the reading: the service
        takes for known what was read.

        What is read may be kept, as far as it is not long, in :attr:`received_on_close`.

        Never raises, may be called again. Writes nothing where :attr:`is_inherited` is true.
        """
        raise NotImplementedError("%s must implement close()" % type(self).__name__)

    def abort(self):
        # type: () -> None
        """Close the connection at once, without waiting for a peer that has stopped answering.

        What was written may be lost. By default it is closed like any other.
        """
        self.close()

    def closed(self):
        # type: () -> bool
        """Return True if the connection is of no more use.

        True once :meth:`close` was called, and, where the back-end can detect it, once the peer has
        ended the stream and all that came before its end has been read. Never raises or waits.
        """
        raise NotImplementedError("%s must implement closed()" % type(self).__name__)


class BaseBackend(object):
    """Makes certificates, locks and connections, and keeps the idle connections.

    A subclass gives :meth:`get_certificate`, :meth:`create_lock` and :meth:`get_new_connection`.
    Options of its own come before a call of this constructor, which takes the rest.

    :param pool_size: how many idle connections are kept for each address, certificate and protocol
        (int, at least 0), by default :attr:`DEFAULT_POOL_SIZE`. None keeps any number; 0 keeps
        none, so that each is closed after use.
    :param use_cache_for_reconnects: whether a pooled connection that turns out to be dead may be
        replaced by another one from the pool (bool), or by a new one only.
    :raises ValueError: if ``pool_size`` is no whole number, or negative.
    """

    #: What ``pool_size`` is where it is not given; a subclass may override it.
    DEFAULT_POOL_SIZE = 5  # type: Optional[int]

    #: Whether ``closed()`` of an idle connection is True once the peer has hung up. Where it cannot
    #: be, the first failure of a reused connection has the session start over with another one. A
    #: back-end with a thread that reads promises with it that the thread does so while the
    #: connection is idle; see :meth:`peek() <apnsclient.backends.BaseConnection.peek>`.
    can_detect_close = False

    #: Whether several callers may share a connection: :meth:`wait` waits for several connections at
    #: once, and can be woken. Where it is False, a connection serves one caller at a time, and the
    #: two methods are never called.
    can_share = False

    #: Whether protocols can be offered to the server with ALPN, which HTTP/2 needs. Where it is
    #: False, :meth:`get_new_connection` is never given the argument ``alpn`` and need not have it.
    has_alpn = False

    def __init__(self, pool_size=default("DEFAULT_POOL_SIZE"), use_cache_for_reconnects=True):
        # type: (Optional[int], bool) -> None
        pool_size = resolve_default(self, pool_size)
        is_count = isinstance(pool_size, numbers.Integral) and not isinstance(pool_size, bool)
        if pool_size is not None and not (is_count and pool_size >= 0):
            raise ValueError("pool_size is %r, expected None or a whole number from 0 up"
                             % (pool_size,))
        self.pool_size = pool_size
        self.use_cache_for_reconnects = use_cache_for_reconnects
        self.__pools = PerProcess()

    def get_certificate(self, cert_params):
        # type: (Mapping[str, Any]) -> BaseCertificate
        """Load a certificate; may be called by several threads at once.

        :param cert_params: arguments of :class:`~apnsclient.certificate.BaseCertificate` by name.
        :raises ~apnsclient.errors.CertificateError: if it cannot be used.
        """
        raise NotImplementedError("%s must implement get_certificate()" % type(self).__name__)

    def create_lock(self):
        # type: () -> Any
        """Return a new lock with the interface of ``threading.RLock()``.

        Used are ``with``, ``acquire(False)`` and ``release()``. It has to be reentrant: the garbage
        collector may close a generator that gives its connection back in the very thread that is
        holding the lock.
        """
        raise NotImplementedError("%s must implement create_lock()" % type(self).__name__)

    def clock(self):
        # type: () -> float
        """Return the time that timeouts are measured by: seconds (float) that never go back.

        By default the system's monotonic clock. A back-end for tests may have a time of its own,
        which its connections and events share, so that a timeout of an hour is over at once.
        """
        return monotonic()

    def create_event(self):
        # type: () -> Any
        """Return a new event, for one caller who waits; by default threads wait.

        Used are ``set()``, by anybody, and ``wait(timeout)`` with a number of seconds, which ends
        as soon as the event is set. A finalizer may set it in the middle of ``wait()`` and in the
        same thread, so ``threading.Event``, which takes a lock for both, will not do. A green
        back-end overrides it, so that other greenlets run in the meantime.
        """
        return Event()

    def create_waker(self):
        # type: () -> Any
        """Return a new object that ends a :meth:`wait` from elsewhere.

        Used are two methods, which never raise, and never wait for anything:

        - ``wake()`` ends the wait that is in progress, or, where there is none, the next one as
          soon as it begins. Then it is used up. It may be called any number of times, by any
          thread, also by a signal handler or a finalizer in the middle of :meth:`wait` and of
          itself.
        - ``close()`` gives back what belongs to the system; a ``wake()`` that comes later does
          nothing. It is not called during a wait. What nobody refers to any more closes itself.

        A forked child makes wakers of its own. There the two methods do nothing to the parent's.
        """
        raise NotImplementedError("%s must implement create_waker()" % type(self).__name__)

    def wait(self, connections, timeout, waker):
        # type: (Sequence[BaseConnection], Optional[float], Any) -> List[BaseConnection]
        """Wait until one of several connections has something to read.

        A connection counts as ready if :meth:`peek() <apnsclient.backends.BaseConnection.peek>`
        returns data, the end of the stream, or raises; also if what it returns is already in the
        back-end or in its TLS library. Taking for ready what turns out to have nothing does no
        harm, as long as that does not happen again and again.

        For each connection and each waker there is one wait at a time. It may be a long one, where
        only a few bytes arrive every now and then, so it should cost little.

        :param connections: connections of this back-end (sequence), none of them twice; perhaps
            none at all.
        :param timeout: longest wait in seconds (float, at least 0); None waits for ever.
        :param waker: what :meth:`create_waker` has returned, in this process.
        :return: the connections that are ready (list); none if the time is up, or it was woken. Of
            those that are ready at once none is left out, whatever else ends the wait.
        """
        raise NotImplementedError("%s must implement wait()" % type(self).__name__)

    def get_new_connection(self, address, certificate, timeout=None, alpn=()):
        # type: (Address, BaseCertificate, Optional[float], Tuple[str, ...]) -> BaseConnection
        """Open a connection that is ready for use; may be called by several threads at once.

        Nothing is written to a server before its certificate and host name have been verified.

        :param address: ``(host, port)`` (str, int 1 to 65535).
        :param certificate: what :meth:`get_certificate` returned, or what the user of the session
            gave instead. Where :attr:`has_alpn` is True it may be a provider token, whose
            ``get_context()`` returns None: then no client certificate is presented.
        :param timeout: longest time in seconds (float) for all of it; None waits for ever. Where
            the system's resolver cannot be bounded, the name lookup may come on top.
        :param alpn: names of the protocols to offer with ALPN (tuple of str), such as ``("h2",)``;
            an empty one offers none. The connection's ``alpn_protocol`` tells what was chosen. A
            server that chose none is no failure here.
        :raises Exception: if no connection can be had. The session lets it pass to its caller.
        """
        raise NotImplementedError("%s must implement get_new_connection()" % type(self).__name__)

    def close_all(self, connections):
        # type: (Sequence[BaseConnection]) -> None
        """Close connections that nobody uses.

        Override it where several can be closed in the time that one takes.
        """
        for connection in connections:
            connection.close()

    def get_cached_connection(self, address, certificate, timeout=None, alpn=()):
        # type: (Address, BaseCertificate, Optional[float], Tuple[str, ...]) -> BaseConnection
        """Take the connection that was used last from the pool, or open one if there is none.

        Arguments and exceptions are those of :meth:`get_new_connection`. The connection belongs to
        the caller until it is given back with :meth:`release`. One from the pool speaks one of the
        protocols in ``alpn``, or none that was chosen with ALPN where that is empty.
        """
        while True:
            connection = self.pop_idle(address, certificate, alpn)
            if connection is None:
                # Back-ends without ALPN do not know the argument.
                options = {"alpn": alpn} if alpn else {}
                return self.get_new_connection(address, certificate, timeout, **options)
            if not connection.closed():
                connection.touch()
                return connection
            connection.close()

    def release(self, connection):
        # type: (BaseConnection) -> None
        """Give a connection back to the pool after use; close what has to go instead.

        :param connection: what :meth:`get_cached_connection` or :meth:`get_new_connection`
            returned.
        """
        surplus = self.store(connection)
        if surplus:
            self.close_all(surplus)

    def store(self, connection):
        # type: (BaseConnection) -> List[BaseConnection]
        """Put a connection into the pool.

        :return: list of the connections that the caller has to close: this one, where it is of no
            more use or the pool keeps none; those that have been idle longest, where there are too
            many now.
        """
        return self.__pool().put(connection, self.pool_size)

    def acquire_slot(self, address, certificate, alpn=(), limit=None, timeout=None, is_new=False):
        # type: (Address, BaseCertificate, Tuple[str, ...], Optional[int], Optional[float], bool) -> Optional[Slot]  # noqa: E501
        """Acquire the right to have a connection, once all who came before have theirs.

        Slots in use and idle connections of the address, the certificate and the protocol that
        ``alpn`` names first are never more than ``limit``. Whoever has a slot calls its
        :meth:`Slot.release` in the end; one that nobody refers to any more is free as well. An
        exception while waiting, such as an interrupt from the keyboard, takes none.

        :param address: ``(host, port)`` (str, int 1 to 65535).
        :param certificate: the certificate, or the provider token.
        :param alpn: names of the protocols that will do (tuple of str); empty for a connection
            whose protocol was not chosen with ALPN.
        :param limit: what holds for this caller (int, at least 1), or None for any number.
        :param timeout: longest wait in seconds (float); None waits for ever, 0 not at all.
        :param is_new: whether an idle connection will not do (bool).
        :return: the :class:`Slot`; None when the time is up.
        """
        keys = [(address, certificate, name) for name in alpn or (None,)]
        return self.__pool().acquire(self, keys, limit, timeout, is_new)

    def idle_count(self, address=None, certificate=None):
        # type: (Optional[Address], Optional[BaseCertificate]) -> int
        """Return how many idle connections there are in the pool.

        :param address: count those to this address only.
        :param certificate: count those that were opened with this certificate only.
        """
        return self.__pool().idle_count(address, certificate)

    def in_use_count(self, address=None, certificate=None):
        # type: (Optional[Address], Optional[BaseCertificate]) -> int
        """Return how many slots are in use; arguments are those of :meth:`idle_count`."""
        return self.__pool().in_use_count(address, certificate)

    def waiting_count(self, address=None, certificate=None):
        # type: (Optional[Address], Optional[BaseCertificate]) -> int
        """Return how many callers wait for a slot; arguments are those of :meth:`idle_count`."""
        return self.__pool().waiting_count(address, certificate)

    def outdate(self, delta):
        # type: (timedelta) -> None
        """Close the pooled connections that have been idle for as long as ``delta`` (timedelta)."""
        self.close_all(self.pop_outdated(delta))

    def close_idle(self):
        # type: () -> None
        """Close the pooled connections, unless the pool is in use at this very moment.

        For finalizers: they may run in any thread, also in one that holds the lock of the pool.
        """
        self.close_all(self.__pool().try_take_all())

    def pop_idle(self, address, certificate, alpn=()):
        # type: (Address, BaseCertificate, Tuple[str, ...]) -> Optional[BaseConnection]
        """Take the connection that was used last out of the pool.

        :return: the connection, which belongs to the caller and may be dead; None if there is none.
        """
        keys = [(address, certificate, name) for name in alpn or (None,)]
        return self.__pool().take(keys)

    def pop_outdated(self, delta):
        # type: (timedelta) -> List[BaseConnection]
        """Take the connections that have been idle for as long as ``delta`` out of the pool.

        They belong to the caller, who closes them.
        """
        return self.__pool().take_all(lambda connection: connection.is_outdated(delta))

    def __pool(self):
        # type: () -> Pool
        """Return the pool of this process; in a forked child, get rid of the parent's first."""
        pool = self.__pools.get(lambda: Pool(self.create_lock()), Pool.disown)  # type: Pool
        return pool
