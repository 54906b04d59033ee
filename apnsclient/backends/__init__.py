"""What a back-end is: base classes for connections and for the factory that makes and pools them.

A back-end moves bytes through TLS and knows nothing of push notifications. Its author subclasses
:class:`BaseConnection`, :class:`BaseBackend` and
:class:`~apnsclient.certificate.BaseCertificate`; the pool is here and needs nothing further.

What always holds: a connection is used by one thread at a time, between being taken from the pool
and being released to it. The pool belongs to one process: in a forked child it is empty, and what
the child inherited is closed without a byte being written to it.
"""

from __future__ import absolute_import, division, print_function

import numbers

from six.moves._thread import get_ident

from .._compat import MYPY, monotonic
from .._defaults import default, resolve_default
from .._process import PerProcess
from ._base_connection import BaseConnection, BaseConnectionAttempt
from ._events import Event
from ._pool import Pool, Slot

if MYPY:
    from datetime import timedelta
    from typing import Any, List, Mapping, Optional, Sequence, Tuple

    from ..certificate import BaseCertificate

    Address = Tuple[str, int]

__all__ = ["BaseBackend", "BaseConnection", "BaseConnectionAttempt", "Slot"]


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

    def caller_id(self):
        # type: () -> Any
        """Return what tells the caller from those who run at the same time (hashable).

        It is asked only where :attr:`can_share` is True. By default the identity of the thread. A
        green back-end returns that of the greenlet.
        """
        return get_ident()

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

        :param connections: connections of this back-end, and what :meth:`start_connecting` has
            returned (sequence), none of them twice; perhaps none at all.
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

    def start_connecting(self, address, certificate, timeout=None, alpn=()):
        # type: (Address, BaseCertificate, Optional[float], Tuple[str, ...]) -> Optional[BaseConnectionAttempt]  # noqa: E501
        """Begin to open a connection, without waiting, while others are in use.

        Only called where :attr:`can_share` is True, and never if :meth:`get_new_connection` was
        overridden later than this method: then it would lead elsewhere.

        Arguments are those of :meth:`get_new_connection`. The time runs from here.

        :return: the :class:`BaseConnectionAttempt`. By default None: a further connection is opened
            with :meth:`get_new_connection`, and whoever shares those in use waits meanwhile.
        :raises Exception: what :meth:`get_new_connection` raises.
        """
        return None

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
