"""Sessions and connections: who gets which connection, and what happens when one fails.

A :class:`Session` owns a back-end with its pool. A :class:`Connection` is a lazy handle: it names
an address and a certificate, and leases a real connection from the back-end for each call. So one
handle may be used by many threads, and in a forked child as well. There is one kind of handle for
each protocol.
"""

from __future__ import absolute_import, division, print_function

import datetime
import functools
import operator

from . import _arguments, _timing
from ._compat import MYPY
from ._defaults import default, resolve_default
from ._files import is_given
from ._timing import Timing
from .addresses import (
    ADDRESSES,
    PROVIDER_ADDRESSES,
    is_apples,
    manages_channels,
    resolve_address,
    retired_name,
)
from .certificate import BaseCertificate
from .feedback_store import default_store
from .protocols.http2.headers import load_hpack
from .provider_token import ProviderToken
from .sync.binary import BinaryConnection
from .sync.handle import Connection
from .sync.http2 import Http2Connection
from .sync.shared import Shared

if MYPY:
    from typing import Any, Callable, Dict, Optional, Tuple, TypeVar, Union

    from .backends import BaseBackend
    from .events import Event
    from .feedback_store import FeedbackStore
    from .result import Result

    Address = Tuple[str, int]
    Credential = Union[BaseCertificate, ProviderToken]
    _Method = TypeVar("_Method", bound=Callable[..., Any])

__all__ = ["Connection", "Session"]


class _OnSession(object):
    """A method that raises a helpful error if it is called on the class, as in apns-client 0.1."""

    def __init__(self, function):
        # type: (Callable[..., Any]) -> None
        self._function = function

    def __get__(self, session, owner):
        # type: (Any, type) -> Any
        if session is not None:
            return self._function.__get__(session, owner)

        @functools.wraps(self._function)
        def call(*arguments, **options):
            # type: (*Any, **Any) -> Any
            if arguments and isinstance(arguments[0], Session):
                return self._function(*arguments, **options)
            name = self._function.__name__
            raise TypeError("%s() is a method of a session, not of the class: call "
                            "Session().%s(...), and keep the session to share its connections"
                            % (name, name))

        return call


def _on_session(function):
    # type: (_Method) -> _Method
    return _OnSession(function)  # type: ignore[return-value]


def _argument(path, text):
    # type: (str, str) -> Any
    """Return the attribute of a session for an argument that stays what it is.

    :param path: where its value is, from the session on (str).
    """
    return property(operator.attrgetter(path), None, None, text)


def _setting(name, text):
    # type: (str, str) -> Any
    """Return the attribute of a session for one of its timeouts and sizes."""
    def read(session):
        # type: (Session) -> Any
        return getattr(session._shared.settings.timing, name)

    def write(session, value):
        # type: (Session, Any) -> None
        settings = session._shared.settings
        settings.timing = _timing.check_timing(settings.timing._replace(**{name: value}))

    return property(read, write, None, text)


class Session(object):
    """Keeps connections open between messages.

    Keep a session for as long as you send. When the last reference to it and to its connections is
    gone, and when the interpreter exits, the pooled connections are closed. A session may be used
    by many threads. A forked child may use it, too: its pool is empty.

    By default it speaks HTTP/2 to Apple, where nothing else is accepted any more, and the binary
    protocol to all other servers. Over HTTP/2 at most ``pool_size`` connections (an option of the
    back-end, 5 by default) are open at a time for each address and certificate, because Apple takes
    it for an attack when connections are opened and closed all the time (Apple, *Local and Remote
    Notification Programming Guide*, "Communicating with APNs"). Callers share them: one is enough
    for many, and another one is opened if requests wait for room, as they do with large campaigns
    far away from the server. With a back-end that cannot wait for several connections at once each
    caller has one for itself; then callers wait for one, in order of arrival, for at most
    ``connect_timeout``.

    :param pool: the back-end: name of a module that has a class ``Backend`` (str), a class, or a
        ready instance of :class:`~apnsclient.backends.BaseBackend`.
    :param connect_timeout: longest time to establish a connection, in seconds (float): name lookup,
        TCP and TLS, with all addresses of the host. None, here and for ``write_timeout`` and
        ``read_timeout``, waits for ever. Over HTTP/2 it is also the longest time to wait for a free
        connection, for the server's settings, and for its response to a PING.
    :param write_buffer_size: how many bytes, at least, are written at a time (int, from 1). Larger
        chunks are faster, up to 64 KiB. Over HTTP/2 it is 12 KiB in any case, or more.
    :param write_timeout: longest time to write one chunk, in seconds (float), and then for it to
        reach the gateway's system, if the back-end knows that (stdio on Linux).
    :param read_buffer_size: how many bytes of feedback, at most, are read at a time (int, from 1).
    :param read_timeout: longest wait for each read of feedback, in seconds (float). Over HTTP/2 the
        longest wait for the response to a request, from when it was written.
    :param read_tail_timeout: how long the gateway has to be silent after a message for it to count
        as delivered, in seconds (float). Not used over HTTP/2, where each request has a response.
    :param protocol: ``"binary"`` or ``"http2"``, for all connections. With None it depends on the
        address, if the back-end has ALPN: HTTP/2 for Apple's (a host in push.apple.com, also by its
        name), the binary protocol for any other. Without ALPN it is the binary protocol.
    :param on_late_result: called with a :class:`~apnsclient.apns.Result` for each message that
        counted as delivered, and for which an error frame has arrived later: that is noticed when
        the connection is used again, or closed. It is also called for messages that were not
        delivered, and whose results ``send_many()`` could not yield because it was closed. The
        result has the message and its retry. It is called in the thread that notices it, and delays
        the message that this thread is sending. Without it a warning is logged with the number of
        tokens. Over HTTP/2 nothing is late.
    :param feedback_store: keeps the tokens that are dead according to Apple's responses over HTTP/2
        until :meth:`~apnsclient.apns.APNs.feedback` reads them
        (:class:`~apnsclient.feedback_store.FeedbackStore`). None is the file that the environment
        variable ``APNSCLIENT_FEEDBACK_STORE`` names, or else memory that the sessions of this
        process share.
    :param ping_after: after how many seconds of idleness (float, from 0) an HTTP/2 connection from
        the pool has to respond to a PING before it is used again; with None it never has to. A
        connection that does not respond is replaced.
    :param keep_ids: whether results over HTTP/2 have the identifiers of what was accepted (bool):
        :attr:`~apnsclient.apns.Result.apns_ids` and
        :attr:`~apnsclient.apns.Result.apns_unique_ids`. It takes time and memory for each token.
    :param observer: called with each :class:`~apnsclient.events.Event`: connections that are opened
        and closed, the outcomes of notifications, and so on. :mod:`apnsclient.events` says when,
        and by which thread.
    :param pool_options: arguments of the back-end's class.
    :raises ImportError: if the module or its class ``Backend`` does not exist, or the protocol is
        ``"http2"`` and a package that it needs is missing. With protocol None, that is noticed when
        something is sent.
    :raises TypeError: if ``pool`` is none of these, if there are ``pool_options`` for an instance,
        or if the observer cannot be called.
    :raises ValueError: if the protocol is unknown, or needs what the back-end does not have; if a
        buffer size is less than 1, a timeout is not above 0, ``read_tail_timeout`` is None or below
        0, or ``ping_after`` is below 0.
    """

    #: ``(host, port)`` by name; a subclass may extend it.
    ADDRESSES = ADDRESSES
    #: ``(host, port)`` of the host that has replaced one that Apple switched off, by the name of
    #: the latter, for HTTP/2. A subclass may override it.
    PROVIDER_ADDRESSES = PROVIDER_ADDRESSES

    #: Default of the argument; a subclass may override it.
    DEFAULT_CONNECT_TIMEOUT = 10
    #: See :attr:`DEFAULT_CONNECT_TIMEOUT`.
    DEFAULT_WRITE_BUFFER_SIZE = 2048
    #: See :attr:`DEFAULT_CONNECT_TIMEOUT`.
    DEFAULT_WRITE_TIMEOUT = 20
    #: See :attr:`DEFAULT_CONNECT_TIMEOUT`.
    DEFAULT_READ_BUFFER_SIZE = 2048
    #: See :attr:`DEFAULT_CONNECT_TIMEOUT`.
    DEFAULT_READ_TIMEOUT = 20
    #: See :attr:`DEFAULT_CONNECT_TIMEOUT`.
    DEFAULT_READ_TAIL_TIMEOUT = 3

    connect_timeout = _setting(
        "connect_timeout", "Value of the argument. It can be set, with effect from the next call "
        "on, and raises what the constructor raises.")
    write_buffer_size = _setting("write_buffer_size", "See :attr:`connect_timeout`.")
    write_timeout = _setting("write_timeout", "See :attr:`connect_timeout`.")
    read_buffer_size = _setting("read_buffer_size", "See :attr:`connect_timeout`.")
    read_timeout = _setting("read_timeout", "See :attr:`connect_timeout`.")
    read_tail_timeout = _setting("read_tail_timeout", "See :attr:`connect_timeout`.")

    protocol = _argument("_protocol", "Value of the argument. It cannot be set.")
    ping_after = _argument("_shared.settings.ping_after", "See :attr:`protocol`.")
    keep_ids = _argument("_shared.settings.keep_ids", "See :attr:`protocol`.")
    on_late_result = _argument("_shared.on_late_result", "See :attr:`protocol`.")
    feedback_store = _argument("_shared.feedback.store", "The store in use. It cannot be set.")

    def __init__(self, pool="apnsclient.backends.stdio",
                 connect_timeout=default("DEFAULT_CONNECT_TIMEOUT"),
                 write_buffer_size=default("DEFAULT_WRITE_BUFFER_SIZE"),
                 write_timeout=default("DEFAULT_WRITE_TIMEOUT"),
                 read_buffer_size=default("DEFAULT_READ_BUFFER_SIZE"),
                 read_timeout=default("DEFAULT_READ_TIMEOUT"),
                 read_tail_timeout=default("DEFAULT_READ_TAIL_TIMEOUT"),
                 protocol=None, on_late_result=None, feedback_store=None, ping_after=60.0,
                 keep_ids=False, observer=None, **pool_options):
        # type: (Any, float, int, float, int, float, float, Optional[str], Optional[Callable[[Result], None]], Optional[FeedbackStore], Optional[float], bool, Optional[Callable[[Event], Any]], Any) -> None  # noqa: E501
        if protocol is not None and protocol not in _HANDLES:
            raise ValueError("the protocol is %r, expected \"binary\", \"http2\" or None"
                             % (protocol,))
        self._protocol = protocol
        timing = _timing.check_timing(Timing(*[resolve_default(self, value) for value in (
            connect_timeout, write_buffer_size, write_timeout, read_buffer_size, read_timeout,
            read_tail_timeout)]))
        _timing.check_ping_after(ping_after)
        if observer is not None and not callable(observer):
            raise TypeError("the observer is of type %s, expected something to call with an event"
                            % type(observer).__name__)
        self._shared = Shared(
            self._make_backend(pool, pool_options), timing, ping_after, on_late_result,
            default_store() if feedback_store is None else feedback_store, keep_ids, observer)

    @property
    def pool(self):
        # type: () -> BaseBackend
        """The back-end with the pool (:class:`~apnsclient.backends.BaseBackend`).

        It can be set, to any of the forms of the argument, with effect from the next call on. Get
        new connections from the session then: their certificates are those of a back-end.
        """
        return self._shared.backend

    @pool.setter
    def pool(self, pool):
        # type: (Any) -> None
        self._shared.use(self._make_backend(pool, {}))

    def _make_backend(self, pool, options):
        # type: (Any, Dict[str, Any]) -> BaseBackend
        backend = _arguments.make_backend(pool, options)
        if self._protocol == "http2":
            _arguments.check_alpn(backend)
            load_hpack()
        return backend

    @classmethod
    def get_address(cls, address):
        # type: (Union[str, Address]) -> Address
        """Return the address of a name in :attr:`ADDRESSES`.

        :param address: a name (str), or ``(host, port)``, which is returned unchanged.
        :raises ValueError: if it is neither.
        """
        return resolve_address(address, cls.ADDRESSES)

    @_on_session
    def get_connection(self, address="push_sandbox", certificate=None, **cert_params):
        # type: (Union[str, Address], Optional[Credential], Any) -> Connection
        """Return a connection that stays open after use and is shared through the pool.

        It is lazy: nothing is connected before the first message is sent.

        :param address: ``(host, port)``, or one of the names push_sandbox, push_production,
            feedback_sandbox and feedback_production for Apple's hosts; over HTTP/2 also
            channels_sandbox and channels_production. Over HTTP/2 a host that Apple has switched
            off, by name or as a tuple, means the one that has replaced it.
        :param certificate: the provider's certificate, a
            :class:`~apnsclient.certificate.BaseCertificate` of the back-end in use; over HTTP/2 it
            may be a :class:`~apnsclient.provider_token.ProviderToken`.
        :param cert_params: arguments of such a certificate, if it is not given itself:
            ``cert_string``, ``cert_file``, ``key_string``, ``key_file``, ``passphrase``; or of a
            provider token: ``key_id``, ``team_id``, ``key_string``, ``key_file``. None and an empty
            text mean that one is not given.
        :return: :class:`Connection`, for :class:`~apnsclient.apns.APNs`.
        :raises ValueError: if the address is unknown, or a provider token is given for the binary
            protocol.
        :raises TypeError: if the certificate is of another type, if there are arguments for one as
            well, or if there are arguments for a certificate and for a provider token.
        :raises ~apnsclient.errors.CertificateError: if the certificate or the key cannot be used.
        """
        return self._connection(address, certificate, cert_params, True)

    @_on_session
    def new_connection(self, address="feedback_sandbox", certificate=None, **cert_params):
        # type: (Union[str, Address], Optional[Credential], Any) -> Connection
        """Return a connection that is opened for each use and closed after it.

        Arguments and exceptions are those of :meth:`get_connection`.
        """
        return self._connection(address, certificate, cert_params, False)

    def _connection(self, address, certificate, cert_params, is_cached):
        # type: (Any, Optional[Credential], Any, bool) -> Connection
        protocol, where = self._locate(address)
        cert_params = dict(each for each in cert_params.items() if is_given(each[1]))
        is_theirs = certificate is not None
        if certificate is None:
            certificate = self._credential(cert_params)
        elif cert_params:
            raise TypeError("there is a certificate and there are also arguments for one: %s"
                            % ", ".join(sorted(cert_params)))
        if (is_theirs or protocol == "http2") and not isinstance(certificate, BaseCertificate):
            raise TypeError("the certificate is of type %s, expected a certificate of the back-end "
                            "or a ProviderToken; for its text or its file use the arguments "
                            "cert_string or cert_file" % type(certificate).__name__)
        if isinstance(certificate, ProviderToken) and protocol == "binary":
            raise ValueError("a provider token is for HTTP/2: set the session's protocol to "
                             "\"http2\", or give a certificate")
        return _HANDLES[protocol](self, self._shared, where, certificate, is_cached)

    def _locate(self, address):
        # type: (Any) -> Tuple[str, Address]
        """Return the protocol to speak, and the address to speak it to."""
        where = self.get_address(address)
        protocol = self._protocol or (
            "http2" if self.pool.has_alpn and is_apples(where) else "binary")
        if protocol == "http2":
            name = retired_name(where)
            return protocol, where if name is None else self.PROVIDER_ADDRESSES[name]
        if manages_channels(where):
            raise ValueError("the address is %s:%d, which speaks HTTP/2 alone: leave out the "
                             "session's protocol, or set it to \"http2\"" % where)
        return protocol, where

    def _credential(self, cert_params):
        # type: (Dict[str, Any]) -> Credential
        """Load a certificate or a provider token, whichever the arguments are for."""
        of_token = sorted(set(["key_id", "team_id"]).intersection(cert_params))
        of_certificate = sorted(set(["cert_file", "cert_string"]).intersection(cert_params))
        if of_token and of_certificate:
            raise TypeError("there are arguments for a certificate (%s) and for a provider token "
                            "(%s): give one of the two"
                            % (", ".join(of_certificate), ", ".join(of_token)))
        if of_token:
            return ProviderToken(**cert_params)
        return self.pool.get_certificate(cert_params)

    def outdate(self, delta):
        # type: (datetime.timedelta) -> None
        """Close the pooled connections that have not been used for some time.

        Connections in use are not closed. Call it at the end of a task, or in a thread or a
        periodic task, if you do not want connections to stay open for long.

        :param delta: longest time for a connection to be idle (``datetime.timedelta``).
        """
        self._shared.close_idle(self.pool.pop_outdated(delta))
        self._shared.forget_idle_hosts()
        self._shared.feedback.save(True)
        if self._shared.observation is not None:
            self._shared.observation.tell()

    def shutdown(self):
        # type: () -> None
        """Close all pooled connections that are not in use: :meth:`outdate` with a delta of 0."""
        self.outdate(datetime.timedelta(0))

    def __repr__(self):
        # type: () -> str
        state = "%d idle" % self.pool.idle_count()
        if self._protocol != "binary":
            state += ", %d in use, %d callers waiting" % (
                self.pool.in_use_count(), self._shared.count_callers())
        protocol = "with %s " % self._protocol if self._protocol else ""
        return "<%s %sover %s: %s>" % (
            type(self).__name__, protocol, type(self.pool).__module__, state)


#: The kind of handle for each protocol.
_HANDLES = {"binary": BinaryConnection, "http2": Http2Connection}
