"""Sessions and connections: who gets which connection, and what happens when one fails.

A :class:`Session` owns a back-end with its pool. A :class:`Connection` is a lazy handle: it names
an address and a certificate, and leases a real connection from the back-end for each call. So one
handle may be used by many threads, and in a forked child as well.
"""

from __future__ import absolute_import, division, print_function

import atexit
import datetime
import importlib
import logging
import numbers
import weakref
from collections import namedtuple

import six

from ._compat import MYPY
from .apns import Result
from .backends import BaseBackend
from .drivers.binary import BinaryDriver, read_feedback
from .drivers.stream import Stream
from .errors import ConnectError

if MYPY:
    from typing import Any, Callable, Generator, Iterable, List, Optional, Tuple, Union

    from .apns import Message
    from .backends import BaseConnection
    from .certificate import BaseCertificate

    Address = Tuple[str, int]

__all__ = ["Connection", "Session"]

_log = logging.getLogger(__name__)

#: Apple's hosts for the binary protocol, and the names that the session knows them by. Apple
#: switched these hosts off on 31 March 2021.
ADDRESSES = {
    "push_sandbox": ("gateway.sandbox.push.apple.com", 2195),
    "push_production": ("gateway.push.apple.com", 2195),
    "feedback_sandbox": ("feedback.sandbox.push.apple.com", 2196),
    "feedback_production": ("feedback.push.apple.com", 2196),
}

#: What the documents of apns-client 0.2 call push_sandbox in one place.
_MISSPELT = {"push_sanbox": "push_sandbox"}

_RETIRED = ("Apple switched the binary protocol off on 31 March 2021, and %s with it: set address "
            "to the (host, port) of a gateway that still speaks it, or protocol to \"http2\" with "
            "a version of this package that has it")

#: Timeouts in seconds and sizes in bytes, as the session was told.
Timing = namedtuple("Timing", "connect_timeout write_buffer_size write_timeout read_buffer_size "
                              "read_timeout read_tail_timeout")


class Session(object):
    """The place where connections are kept open between messages.

    Keep one for as long as you send. When the last reference to it and to its connections is gone,
    and when the interpreter exits, the pooled connections are closed. A session may be used by many
    threads. A forked child may go on using it: it starts with an empty pool.

    :param pool: the back-end: name of a module that has a class ``Backend`` (str), a class, or a
        ready instance of :class:`~apnsclient.backends.BaseBackend`.
    :param connect_timeout: longest time to establish a connection, in seconds (float): TCP and TLS,
        with all the addresses that the host has. Only the name lookup comes on top. None, here and
        for ``write_timeout`` and ``read_timeout``, waits for ever.
    :param write_buffer_size: how many bytes, at least, are written at a time (int, from 1). Larger
        chunks are faster, up to 64 KiB.
    :param write_timeout: longest time to write one chunk, in seconds (float), and then for it to
        reach the gateway's system, where the back-end can tell (stdio on Linux).
    :param read_buffer_size: how many bytes of feedback, at most, are read at a time (int, from 1).
    :param read_timeout: longest wait for each read of feedback, in seconds (float).
    :param read_tail_timeout: how long the gateway has to be silent after a message for it to count
        as delivered, in seconds (float).
    :param protocol: ``"binary"``.
    :param on_late_result: called with a :class:`~apnsclient.apns.Result` for each message whose
        result says success, and of which the gateway said too late that it had not been delivered:
        that is found out when the connection is used again, or closed. The result has the message
        and what is to be retried. It is called by whichever thread finds out, and holds up the
        message that thread is sending. Without it a warning is logged that tells how many tokens
        it was.
    :param pool_options: arguments of the back-end's class, as they are.
    :raises ImportError: if the module or its class ``Backend`` does not exist.
    :raises TypeError: if ``pool`` is none of these, or if there are ``pool_options`` for an
        instance.
    :raises ValueError: if the protocol is not known, a buffer size is less than 1, a timeout is not
        above 0, or ``read_tail_timeout`` is None or below 0.
    """

    def __init__(self, pool="apnsclient.backends.stdio", connect_timeout=10,
                 write_buffer_size=2048, write_timeout=20, read_buffer_size=2048, read_timeout=20,
                 read_tail_timeout=3, protocol="binary", on_late_result=None, **pool_options):
        # type: (Any, float, int, float, int, float, float, str, Optional[Callable[[Result], None]], Any) -> None  # noqa: E501
        if protocol != "binary":
            raise ValueError("the protocol is %r, this version knows \"binary\"" % (protocol,))
        self._timing = _check_timing(Timing(
            connect_timeout, write_buffer_size, write_timeout, read_buffer_size, read_timeout,
            read_tail_timeout))
        self._on_late_result = on_late_result
        self._backend = _make_backend(pool, pool_options)
        self._closer = _Closer(self._backend)
        _closers.add(self._closer)

    def get_connection(self, address="push_sandbox", certificate=None, **cert_params):
        # type: (Union[str, Address], Optional[BaseCertificate], Any) -> Connection
        """Return a connection that stays open after use and is shared through the pool.

        It is lazy: nothing is connected before the first message is sent.

        :param address: ``(host, port)``, or one of the names push_sandbox, push_production,
            feedback_sandbox and feedback_production for Apple's hosts.
        :param certificate: the provider's certificate, a
            :class:`~apnsclient.certificate.BaseCertificate` of the back-end in use.
        :param cert_params: arguments of such a certificate, if it is not given itself:
            ``cert_string``, ``cert_file``, ``key_string``, ``key_file``, ``passphrase``.
        :return: :class:`Connection`, for :class:`~apnsclient.apns.APNs`.
        :raises ValueError: if the address is not known.
        :raises ~apnsclient.errors.CertificateError: if the certificate cannot be used.
        """
        return self._connection(address, certificate, cert_params, True)

    def new_connection(self, address="feedback_sandbox", certificate=None, **cert_params):
        # type: (Union[str, Address], Optional[BaseCertificate], Any) -> Connection
        """Return a connection that is opened for each use and closed after it.

        Arguments and exceptions are those of :meth:`get_connection`.
        """
        return self._connection(address, certificate, cert_params, False)

    def _connection(self, address, certificate, cert_params, is_cached):
        # type: (Any, Optional[BaseCertificate], Any, bool) -> Connection
        where = _resolve_address(address)
        if certificate is None:
            certificate = self._backend.get_certificate(cert_params)
        elif cert_params:
            raise TypeError("there is a certificate and there are also arguments for one: %s"
                            % ", ".join(sorted(cert_params)))
        return Connection(self, where, certificate, is_cached)

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
        """Close connections after reading what came in the meantime: it may be a late frame."""
        for connection in connections:
            BinaryDriver(connection, self._timing, self._report_late).prepare()
        self._backend.close_all(connections)

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
                _log.exception("on_late_result failed for %r", result)

    def __repr__(self):
        # type: () -> str
        return "<%s over %s>" % (type(self).__name__, type(self._backend).__module__)


class Connection(object):
    """A lazy handle to one address with one certificate; :class:`Session` makes it.

    It keeps its session alive. It may be used by several threads at once, each of which gets a
    connection of its own, and again after anything went wrong.
    """

    def __init__(self, session, address, certificate, is_cached):
        # type: (Session, Address, BaseCertificate, bool) -> None
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
        stream = Stream(self._lease, self._replace, self._release, self._session._timing)
        return stream.results(messages)

    def feedback(self):
        # type: () -> Generator[Tuple[int, bytes], None, None]
        """Read the feedback service over a connection of its own, which is closed at the end.

        :return: generator of ``(timestamp, token)``; see :meth:`apnsclient.apns.APNs.feedback`.
        """
        connection = self._connect(False)
        try:
            for row in read_feedback(connection, self._session._timing):
                yield row
        finally:
            connection.close()

    def _connect(self, is_cached):
        # type: (bool) -> BaseConnection
        """Get a connection from the pool, or a new one."""
        backend = self._session._backend
        connect = backend.get_cached_connection if is_cached else backend.get_new_connection
        try:
            return connect(self._address, self._certificate, self._session._timing.connect_timeout)
        except ConnectError as error:
            if self._address in ADDRESSES.values():
                error.args = ("%s. %s" % (error, _RETIRED % self._address[0]),)
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

    def _replace(self, driver):
        # type: (BinaryDriver) -> Optional[BinaryDriver]
        """Return another driver where the back-end could not have known that this one is stale."""
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

    def __repr__(self):
        # type: () -> str
        return "<%s to %s:%d>" % ((type(self).__name__,) + self._address)


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


def _check_timing(timing):
    # type: (Timing) -> Timing
    """Return the timing, if it can be kept."""
    for name, value in zip(timing._fields, timing):
        is_number = isinstance(value, numbers.Real)
        if name.endswith("_size"):
            if not is_number or value < 1:
                raise ValueError("%s is %r, expected 1 or more bytes" % (name, value))
        elif name == "read_tail_timeout":
            if not is_number or value < 0:
                raise ValueError("read_tail_timeout is %r, expected seconds from 0 up: silence for "
                                 "that long is success" % (value,))
        elif value is not None and not (is_number and value > 0):
            raise ValueError("%s is %r, expected seconds above 0, or None to wait for ever"
                             % (name, value))
    return timing


def _make_backend(pool, options):
    # type: (Any, Any) -> BaseBackend
    """Turn the argument ``pool`` of a session into a back-end."""
    if isinstance(pool, six.string_types):
        try:
            module = importlib.import_module(pool)
        except (ImportError, TypeError, ValueError) as error:
            # An empty or a relative name is the latter two.
            six.raise_from(
                ImportError("the back-end %s cannot be imported: %s" % (pool, error)), error)
        pool = getattr(module, "Backend", None)
        if pool is None:
            raise ImportError("the back-end %s has no class Backend" % module.__name__)
    if isinstance(pool, type):
        pool, options = pool(**options), {}
    if not hasattr(pool, "get_new_connection"):
        raise TypeError("the back-end is %r, expected the name of a module, a subclass of "
                        "BaseBackend or an instance of one" % (pool,))
    if options:
        raise TypeError("the back-end is an instance already and takes no options: %s"
                        % ", ".join(sorted(options)))
    return pool


def _resolve_address(address):
    # type: (Any) -> Address
    """Turn the argument ``address`` into ``(host, port)``."""
    if isinstance(address, six.string_types):
        known = ADDRESSES.get(_MISSPELT.get(address, address))
        if known is not None:
            return known
    elif isinstance(address, (tuple, list)) and len(address) == 2:
        host, port = address
        if (isinstance(host, six.string_types) and isinstance(port, six.integer_types)
                and 0 < port < 65536):
            return host, port
    shown = repr(address)
    if len(shown) > 100:
        # Whatever it is, it may be a secret.
        shown = "a %s of %d characters" % (type(address).__name__, len(shown))
    raise ValueError("the address is %s, expected (host, port) with a port from 1 to 65535, or one "
                     "of %s" % (shown, ", ".join(sorted(ADDRESSES))))
