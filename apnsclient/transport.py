"""Sessions and connections: who gets which connection, and what happens when one fails.

A :class:`Session` owns a back-end with its pool. A :class:`Connection` is a lazy handle: it names
an address and a certificate, and leases a real connection from the back-end for each call. So one
handle may be used by many threads, and in a forked child as well. There is one kind of handle for
each protocol.
"""

from __future__ import absolute_import, division, print_function

import atexit
import datetime
import logging
import weakref

from . import _arguments
from ._arguments import Timing
from ._compat import MYPY
from ._interrupts import is_interrupt
from .addresses import ADDRESSES, PROVIDER_ADDRESSES, RETIRED, environment_of, resolve_address
from .apns import Result
from .backends._turns import Turns
from .certificate import BaseCertificate
from .drivers.binary import BinaryDriver, read_feedback
from .drivers.binary_dispatch import BinaryDispatch
from .drivers.http2 import Http2Driver
from .drivers.http2_dispatch import Http2Dispatch
from .errors import ConnectError, ConnectionLost, ConnectTimeout
from .feedback_store import MemoryStore
from .provider_token import ProviderToken

if MYPY:
    from typing import (
        Any,
        Callable,
        Dict,
        Generator,
        Iterable,
        List,
        Optional,
        Sequence,
        Tuple,
        Union,
    )

    from .apns import Message
    from .backends import BaseBackend, BaseConnection
    from .feedback_store import FeedbackStore
    from .protocols.http2.events import Reply

    Address = Tuple[str, int]
    Credential = Union[BaseCertificate, ProviderToken]

__all__ = ["Connection", "Session"]

_log = logging.getLogger(__name__)

#: What HTTP/2 is called in ALPN (RFC 7301).
_ALPN = ("h2",)


class Session(object):
    """The place where connections are kept open between messages.

    Keep one for as long as you send. When the last reference to it and to its connections is gone,
    and when the interpreter exits, the pooled connections are closed. A session may be used by many
    threads. A forked child may go on using it: it starts with an empty pool.

    With ``protocol="http2"`` it speaks to Apple as Apple is today. Then at most ``pool_size``
    connections (an option of the back-end, 5 if it is not given) are open at a time for each
    address and certificate, because Apple takes many for an attack. Callers wait for their turn, in
    the order in which they came, for at most ``connect_timeout``. Whoever sends in the middle of
    reading the results of ``send_many()`` needs a second turn.

    :param pool: the back-end: name of a module that has a class ``Backend`` (str), a class, or a
        ready instance of :class:`~apnsclient.backends.BaseBackend`.
    :param connect_timeout: longest time to establish a connection, in seconds (float): TCP and TLS,
        with all the addresses that the host has. Only the name lookup comes on top. None, here and
        for ``write_timeout`` and ``read_timeout``, waits for ever. Over HTTP/2 it is also the
        longest time to wait for one's turn, for the server's settings, and for its answer to a
        PING.
    :param write_buffer_size: how many bytes, at least, are written at a time (int, from 1). Larger
        chunks are faster, up to 64 KiB. Over HTTP/2 it is 12 KiB in any case, or more.
    :param write_timeout: longest time to write one chunk, in seconds (float), and then for it to
        reach the gateway's system, where the back-end can tell (stdio on Linux).
    :param read_buffer_size: how many bytes of feedback, at most, are read at a time (int, from 1).
    :param read_timeout: longest wait for each read of feedback, in seconds (float). Over HTTP/2 the
        longest wait for the answer to a request, from when it was written.
    :param read_tail_timeout: how long the gateway has to be silent after a message for it to count
        as delivered, in seconds (float). HTTP/2 has no use for it: each request is answered.
    :param protocol: ``"binary"`` or ``"http2"``.
    :param on_late_result: called with a :class:`~apnsclient.apns.Result` for each message whose
        result says success, and of which the gateway said too late that it had not been delivered:
        that is found out when the connection is used again, or closed. The result has the message
        and what is to be retried. It is called by whichever thread finds out, and holds up the
        message that thread is sending. Without it a warning is logged that tells how many tokens
        it was. Over HTTP/2 nothing is late.
    :param feedback_store: what keeps the tokens that Apple answered as dead over HTTP/2 until
        :meth:`~apnsclient.apns.APNs.feedback` reads them
        (:class:`~apnsclient.feedback_store.FeedbackStore`); by default this session's memory.
    :param ping_after: after how many seconds of idleness (float, from 0) an HTTP/2 connection from
        the pool has to answer a PING before it is used again; None never asks. A connection that
        does not is replaced.
    :param pool_options: arguments of the back-end's class, as they are.
    :raises ImportError: if the module or its class ``Backend`` does not exist, or a package that
        HTTP/2 needs is missing.
    :raises TypeError: if ``pool`` is none of these, or if there are ``pool_options`` for an
        instance.
    :raises ValueError: if the protocol is not known, or needs what the back-end does not have; if a
        buffer size is less than 1, a timeout is not above 0, ``read_tail_timeout`` is None or below
        0, or ``ping_after`` is below 0.
    """

    def __init__(self, pool="apnsclient.backends.stdio", connect_timeout=10,
                 write_buffer_size=2048, write_timeout=20, read_buffer_size=2048, read_timeout=20,
                 read_tail_timeout=3, protocol="binary", on_late_result=None, feedback_store=None,
                 ping_after=60.0, **pool_options):
        # type: (Any, float, int, float, int, float, float, str, Optional[Callable[[Result], None]], Optional[FeedbackStore], Optional[float], Any) -> None  # noqa: E501
        if protocol not in _HANDLES:
            raise ValueError("the protocol is %r, expected \"binary\" or \"http2\"" % (protocol,))
        self._protocol = protocol
        self._timing = _arguments.check_timing(Timing(
            connect_timeout, write_buffer_size, write_timeout, read_buffer_size, read_timeout,
            read_tail_timeout))
        self._ping_after = _arguments.check_ping_after(ping_after)
        self._on_late_result = on_late_result
        self._backend = _arguments.make_backend(pool, pool_options)
        if protocol == "http2":
            _arguments.check_alpn(self._backend)
            _arguments.import_hpack()
        self._turns = Turns(self._backend)
        self._feedback_store = MemoryStore() if feedback_store is None else feedback_store
        self._closer = _Closer(self._backend)
        _closers.add(self._closer)

    def get_connection(self, address="push_sandbox", certificate=None, **cert_params):
        # type: (Union[str, Address], Optional[Credential], Any) -> Connection
        """Return a connection that stays open after use and is shared through the pool.

        It is lazy: nothing is connected before the first message is sent.

        :param address: ``(host, port)``, or one of the names push_sandbox, push_production,
            feedback_sandbox and feedback_production for Apple's hosts; over HTTP/2 also
            channels_sandbox and channels_production.
        :param certificate: the provider's certificate, a
            :class:`~apnsclient.certificate.BaseCertificate` of the back-end in use; over HTTP/2 it
            may be a :class:`~apnsclient.provider_token.ProviderToken`.
        :param cert_params: arguments of such a certificate, if it is not given itself:
            ``cert_string``, ``cert_file``, ``key_string``, ``key_file``, ``passphrase``; or of a
            provider token: ``key_id``, ``team_id``, ``key_string``, ``key_file``.
        :return: :class:`Connection`, for :class:`~apnsclient.apns.APNs`.
        :raises ValueError: if the address is not known, or a provider token is given for the binary
            protocol.
        :raises TypeError: if the certificate is none, or there are arguments for one as well.
        :raises ~apnsclient.errors.CertificateError: if the certificate or the key cannot be used.
        """
        return self._connection(address, certificate, cert_params, True)

    def new_connection(self, address="feedback_sandbox", certificate=None, **cert_params):
        # type: (Union[str, Address], Optional[Credential], Any) -> Connection
        """Return a connection that is opened for each use and closed after it.

        Arguments and exceptions are those of :meth:`get_connection`.
        """
        return self._connection(address, certificate, cert_params, False)

    def _connection(self, address, certificate, cert_params, is_cached):
        # type: (Any, Optional[Credential], Any, bool) -> Connection
        handle, known = _HANDLES[self._protocol]
        where = resolve_address(address, known)
        is_given = certificate is not None
        if certificate is None:
            certificate = self._credential(cert_params)
        elif cert_params:
            raise TypeError("there is a certificate and there are also arguments for one: %s"
                            % ", ".join(sorted(cert_params)))
        if (is_given or self._protocol == "http2") and not isinstance(certificate, BaseCertificate):
            raise TypeError("the certificate is a %s, expected a certificate of the back-end or a "
                            "ProviderToken; for its text or its file use the arguments cert_string "
                            "or cert_file" % type(certificate).__name__)
        if isinstance(certificate, ProviderToken) and self._protocol == "binary":
            raise ValueError("a provider token is for HTTP/2: set the session's protocol to "
                             "\"http2\", or give a certificate")
        return handle(self, where, certificate, is_cached)

    def _credential(self, cert_params):
        # type: (Dict[str, Any]) -> Credential
        """Load a certificate or a provider token, whichever the arguments are for."""
        if "key_id" in cert_params or "team_id" in cert_params:
            return ProviderToken(**cert_params)
        return self._backend.get_certificate(cert_params)

    def outdate(self, delta):
        # type: (datetime.timedelta) -> None
        """Close the pooled connections that have not been used for some time.

        Connections in use are not touched. Call it at the end of a task, or in a thread or a
        periodic task of its own, if you do not want connections to stay open for long.

        :param delta: longest time for a connection to lie idle (``datetime.timedelta``).
        """
        self._close_idle(self._backend.pop_outdated(delta))

    def shutdown(self):
        # type: () -> None
        """Close all pooled connections that are not in use: :meth:`outdate` with no time at all."""
        self.outdate(datetime.timedelta(0))

    def _close_idle(self, connections):
        # type: (List[BaseConnection]) -> None
        """Close connections that nobody uses, after what is to be read and said."""
        drivers = []
        try:
            for connection in connections:
                if connection.alpn_protocol is None:
                    # What came in the meantime, or comes at the very end, may be a late frame.
                    driver = BinaryDriver(connection, self._timing, self._report_late)
                    driver.prepare()
                    drivers.append(driver)
                else:
                    Http2Driver(connection, self._timing, self._gone_reporter(
                        connection.address, connection.certificate)).take_leave()
        finally:
            self._backend.close_all(connections)
        for driver in drivers:
            driver.hear_out()

    def _gone_reporter(self, address, certificate):
        # type: (Address, Credential) -> Callable[[List[Tuple[bytes, int]]], None]
        """Return what puts dead tokens into the store of feedback."""
        store, source = self._feedback_store, _source_of(address, certificate)
        return lambda rows: store.add(source, rows)

    def _report_late(self, results):
        # type: (List[Result]) -> None
        """Pass on what became of messages whose results were handed out too early."""
        if self._on_late_result is None:
            _log.warning(
                "an error frame came late: %d tokens of %d messages that counted as delivered were "
                "not; set on_late_result to be told which",
                sum(_count_undelivered(result) for result in results), len(results))
            return
        for result in results:
            try:
                self._on_late_result(result)
            except Exception:
                if is_interrupt():
                    raise
                _log.exception("on_late_result failed for %r", result)

    def __repr__(self):
        # type: () -> str
        state = "%d idle" % self._backend.idle_count()
        if self._protocol == "http2":
            state += ", %d in use, %d callers waiting" % (self._turns.in_use(),
                                                          self._turns.waiting())
        return "<%s with %s over %s: %s>" % (
            type(self).__name__, self._protocol, type(self._backend).__module__, state)


class Connection(object):
    """A lazy handle to one address with one certificate; :class:`Session` makes it.

    It keeps its session alive. It may be used by several threads at once, each of which gets a
    connection of its own, and again after anything went wrong.
    """

    def __init__(self, session, address, certificate, is_cached):
        # type: (Session, Address, Any, bool) -> None
        self._session = session
        self._address = address
        self._certificate = certificate
        self._is_cached = is_cached

    def send(self, message):
        # type: (Message) -> Result
        """Send one message; see :meth:`apnsclient.apns.APNs.send`."""
        results = self.send_many([message])
        try:
            return next(results)
        finally:
            results.close()

    def send_many(self, messages):
        # type: (Iterable[Message]) -> Generator[Result, None, None]
        """Send many messages; see :meth:`apnsclient.apns.APNs.send_many`."""
        raise NotImplementedError

    def feedback(self):
        # type: () -> Generator[Tuple[int, bytes], None, None]
        """Read the feedback.

        :return: generator of ``(timestamp, token)``; see :meth:`apnsclient.apns.APNs.feedback`.
        """
        raise NotImplementedError

    def _connect(self, is_cached, **options):
        # type: (bool, Any) -> BaseConnection
        """Get a connection from the pool, or a new one."""
        backend = self._session._backend
        connect = backend.get_cached_connection if is_cached else backend.get_new_connection
        timeout = self._session._timing.connect_timeout
        return connect(self._address, self._certificate, timeout, **options)

    def __repr__(self):
        # type: () -> str
        return "<Connection to %s:%d over %s: %s>" % (
            self._address + (self._session._protocol, self._state()))

    def _state(self):
        # type: () -> str
        if not self._is_cached:
            return "not pooled"
        return "%d idle" % self._session._backend.idle_count(self._address, self._certificate)


class BinaryConnection(Connection):
    """A handle to a gateway or a feedback service of the binary protocol."""

    def send_many(self, messages):
        # type: (Iterable[Message]) -> Generator[Result, None, None]
        """Send many messages; see :meth:`apnsclient.apns.APNs.send_many`."""
        session = self._session
        dispatch = BinaryDispatch(self._lease, self._replace, self._release, session._timing,
                                  session._backend.clock)
        return dispatch.results(messages)

    def feedback(self):
        # type: () -> Generator[Tuple[int, bytes], None, None]
        """Read the feedback service over a connection of its own, which is closed at the end."""
        connection = self._connect(False)
        try:
            for row in read_feedback(connection, self._session._timing):
                yield row
        finally:
            connection.close()

    def _connect(self, is_cached, **options):
        # type: (bool, Any) -> BaseConnection
        try:
            return super(BinaryConnection, self)._connect(is_cached, **options)
        except ConnectError as error:
            if self._address in ADDRESSES.values():
                error.args = ("%s. %s" % (error, RETIRED % self._address[0]),)
            raise

    def _driver(self, is_cached):
        # type: (bool) -> BinaryDriver
        """Return a driver whose connection is ready for use; a stale one is replaced."""
        session = self._session
        while True:
            connection = self._connect(is_cached)
            driver = BinaryDriver(connection, session._timing, session._report_late)
            if driver.prepare():
                return driver
            connection.close()
            is_cached = is_cached and session._backend.use_cache_for_reconnects

    def _lease(self):
        # type: () -> BinaryDriver
        return self._driver(self._is_cached)

    def _replace(self):
        # type: () -> Optional[BinaryDriver]
        """Return another driver where the back-end could not have known that one is stale."""
        backend = self._session._backend
        if backend.can_detect_close:
            return None
        return self._driver(self._is_cached and backend.use_cache_for_reconnects)

    def _release(self, driver):
        # type: (BinaryDriver) -> None
        surplus = driver.connection  # type: Optional[BaseConnection]
        if driver.is_over:
            driver.connection.close()
            return
        if self._is_cached:
            surplus = self._session._backend.store(driver.connection)
        if surplus is not None:
            self._session._close_idle([surplus])


class Http2Connection(Connection):
    """A handle to a host of Apple's HTTP/2 provider API."""

    def send_many(self, messages):
        # type: (Iterable[Message]) -> Generator[Result, None, None]
        """Send many messages; see :meth:`apnsclient.apns.APNs.send_many`."""
        is_token = isinstance(self._certificate, ProviderToken)
        dispatch = Http2Dispatch(self._lease, self._release,
                                 self._certificate.renew if is_token else None,
                                 self._certificate.default_topic, self._session._backend.clock)
        return dispatch.results(messages)

    def feedback(self):
        # type: () -> Generator[Tuple[int, bytes], None, None]
        """Read what the session's store of feedback has for this environment and application.

        Rows that the caller does not come to are put back.
        """
        store = self._session._feedback_store
        source = _source_of(self._address, self._certificate)
        rows = store.drain(source)
        done = 0
        try:
            for token, timestamp in rows:
                done += 1
                yield timestamp, token
        finally:
            if done < len(rows):
                store.add(source, rows[done:])

    def ask(self, method, path, fields=(), body=b""):
        # type: (bytes, bytes, Sequence[Tuple[bytes, bytes]], bytes) -> Reply
        """Send any other request, and wait for the reply: for the management of channels.

        A provider token that has expired is made anew, once.

        :param method: like ``b"GET"``.
        :param path: path of the request (bytes).
        :param fields: ``(name, value)`` pairs of its header (bytes).
        :param body: its body (bytes).
        :return: the :class:`~apnsclient.protocols.http2.events.Reply`, whatever its status.
        :raises ~apnsclient.errors.ConnectionLost: if there was none.
        :raises Exception: whatever the back-end raises when it cannot connect.
        """
        may_renew, is_new = isinstance(self._certificate, ProviderToken), False
        while True:
            driver = self._lease(is_new)
            try:
                question = driver.ask(method, path, list(fields), body)
                reply = question.reply
                if reply is None:
                    raise ConnectionLost("no answer from %s:%d: %s"
                                         % (self._address + (question.problem,)))
                if not (may_renew and question.has_expired):
                    return reply
                driver.has_expired, may_renew = True, False
                self._certificate.renew(driver.token)
                # Other connections keep the token that they have.
                is_new = True
            finally:
                self._release(driver)

    @property
    def _key(self):
        # type: () -> Any
        return self._address, self._certificate

    def _lease(self, is_new):
        # type: (bool) -> Http2Driver
        """Wait for one's turn; then return a driver whose connection is ready for use.

        :param is_new: whether it has to be a new connection.
        """
        session = self._session
        limit = session._backend.pool_size or None if self._is_cached else None
        timeout = session._timing.connect_timeout
        turn = session._turns.take(self._key, limit, timeout)
        if turn is None:
            raise ConnectTimeout(
                "all %s connections to %s:%d were in use for %s s: set pool_size or "
                "connect_timeout higher, or send more with each call"
                % ((limit,) + self._address + (timeout,)))
        try:
            if is_new and limit is not None:
                self._make_room(limit)
            driver = self._driver(self._is_cached and not is_new)
        except BaseException:
            turn.give_back()
            raise
        driver.turn = turn
        return driver

    def _make_room(self, limit):
        # type: (int) -> None
        """Close an idle connection where a new one would be one too many.

        Between the end of the one that it is to replace and now, others may have opened theirs.
        """
        session = self._session
        in_use = session._turns.in_use(self._key)
        if in_use + session._backend.idle_count(*self._key) > limit:
            idle = session._backend.pop_idle(self._address, self._certificate, _ALPN)
            if idle is not None:
                session._close_idle([idle])

    def _driver(self, is_cached):
        # type: (bool) -> Http2Driver
        session = self._session
        backend = session._backend
        # Where a dead connection looks like a living one, only an answer tells.
        ping_after = session._ping_after if backend.can_detect_close else 0.0
        while True:
            connection = self._connect(is_cached, alpn=_ALPN)
            if connection.alpn_protocol not in _ALPN:
                connection.close()
                raise ConnectError("%s:%d does not speak HTTP/2: it did not agree to the protocol "
                                   "\"h2\" with ALPN. If it is a gateway of the binary protocol, "
                                   "set the session's protocol to \"binary\"" % self._address)
            driver = Http2Driver(connection, session._timing, session._gone_reporter(
                self._address, self._certificate))
            try:
                if driver.prepare(ping_after):
                    return driver
            except BaseException:
                driver.close()
                raise
            driver.close()
            # Where one is dead without a word the others will be, too, and each takes its time.
            is_cached = is_cached and backend.use_cache_for_reconnects and not driver.is_silent

    def _release(self, driver):
        # type: (Http2Driver) -> None
        session = self._session
        try:
            if driver.rest() and self._is_cached:
                surplus = session._backend.store(driver.connection)
                if surplus is not None:
                    session._close_idle([surplus])
            else:
                driver.close()
        finally:
            driver.turn.give_back()

    def _state(self):
        # type: () -> str
        state = super(Http2Connection, self)._state()
        if self._is_cached:
            turns = self._session._turns
            state += ", %d in use, %d callers waiting" % (
                turns.in_use(self._key), turns.waiting(self._key))
        return state


#: The kind of handle, and the addresses by name, for each protocol.
_HANDLES = {
    "binary": (BinaryConnection, ADDRESSES),
    "http2": (Http2Connection, PROVIDER_ADDRESSES),
}  # type: Dict[str, Tuple[Any, Dict[str, Address]]]


class _Closer(object):
    """Closes the pool of a session that is gone.

    It is apart from the session, because Python 2.7 does not collect a cycle with a finalizer in
    it, and a session is easily part of one: through ``on_late_result``, for example.
    """

    def __init__(self, backend):
        # type: (BaseBackend) -> None
        self._backend = backend

    def close(self):
        # type: () -> None
        """Close what is in the pool, without any noise: finalizers have nobody to talk to."""
        try:
            self._backend.close_idle()
        except Exception:
            # At the interpreter's exit modules may be gone already.
            pass

    __del__ = close


#: Those of the sessions that are open when the interpreter exits: what is still referenced then is
#: not collected.
_closers = weakref.WeakSet()  # type: weakref.WeakSet[_Closer]


@atexit.register
def _close_sessions():
    # type: () -> None
    closers = []  # type: List[_Closer]
    for _ in range(100):
        try:
            closers = list(_closers)
            break
        except RuntimeError:
            # Another thread made a session just now.
            continue
    for closer in closers:
        closer.close()


def _count_undelivered(result):
    # type: (Result) -> int
    retry = result.retry()
    return len(result.failed) + (len(retry.tokens) if retry is not None else 0)


def _source_of(address, certificate):
    # type: (Address, Credential) -> str
    """Return what the store of feedback knows the environment and the application by."""
    return "%s %s" % (environment_of(address), certificate.source_name)
