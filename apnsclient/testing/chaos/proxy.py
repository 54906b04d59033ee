"""The proxy: it listens, serves each connection, and can be changed while it runs."""

from __future__ import absolute_import, division, print_function

import atexit
import logging
import socket
import threading

from ..._compat import MYPY, monotonic
from .. import _listening
from .connection import Connection, Owner
from .errors import ConfigurationError
from .plan import Plan
from .randomness import new_seed
from .record import Record
from .waiting import Stopped, Waiter

if MYPY:
    from typing import Any, Callable, Dict, List, Mapping, Optional, Set, Tuple, Union

    from .record import ConnectionRecord
    from .tls import ChaosTLS

    Address = Tuple[str, int]

__all__ = ["ChaosProxy"]

_logger = logging.getLogger(__name__)

#: Running proxies, to be stopped before the interpreter takes their threads apart.
_running = set()  # type: Set[ChaosProxy]


class ChaosProxy(Owner):
    """A TCP proxy that injects faults. Use it as a context manager, or call start() and stop().

    Everything about it may be used from many threads.

    :param backend: ``(host, port)`` to pass connections on to; the name is looked up for each one.
    :param behavior: which handlers serve how many connections of a hundred (str), for example
        ``20:delay,5:reset``. The rest passes unharmed.
    :param settings: values for the options of handlers, by handler and option
        (``{"delay": {"sleep": 2}}``).
    :param host: address to listen on (str).
    :param port: port to listen on (int); 0 takes a free one.
    :param protocol: short or qualified name of the protocol that cuts the streams into frames.
    :param protocol_settings: values for the options of the protocol (dict).
    :param seed: what all random numbers come from (int or str): a proxy with the same seed does the
        same again. None takes one by chance.
    :param timeout: seconds that connecting, a handler's read, and a write to a peer that takes
        nothing may last; None for no limit.
    :param linger: seconds for which a connection that is being closed is still read from, so that
        its peers can read what was sent to them.
    :param tls: :class:`.ChaosTLS` if the proxy is to be one end of TLS on either side; None passes
        on what is there, TLS or not.
    :param aliases: further names for handlers: by name, the short or qualified name that is meant.
    :param record: True keeps the record of every connection, False none, an int that many of the
        last ones.
    :param on_closed: called with the :class:`.ConnectionRecord` of each connection that is over, by
        the connection's thread.
    :raises ConfigurationError: if a handler, protocol, option, value or percentage cannot be used,
        or the backend is no ``(host, port)``.

    :ivar address: ``(host, port)`` that it listens on, once it has been started.
    :ivar seed: the seed.
    """

    def __init__(self, backend, behavior="", settings=None, host="127.0.0.1", port=0,
                 protocol="tcp", protocol_settings=None, seed=None, timeout=30.0, linger=2.0,
                 tls=None, aliases=None, record=True, on_closed=None):
        # type: (Address, str, Optional[Mapping[str, Mapping[str, Any]]], str, int, str, Optional[Mapping[str, Any]], Any, Optional[float], float, Optional[ChaosTLS], Optional[Mapping[str, str]], Union[bool, int], Optional[Callable[[ConnectionRecord], Any]]) -> None
        self.address = (host, port)  # type: Address
        self.backend = backend
        self.seed = new_seed() if seed is None else seed
        self.timeout = timeout
        self.linger = linger
        self.tls = tls
        self.record = Record(record)
        self.plan = Plan(self, self.seed, aliases or {}, protocol, protocol_settings or {})
        self._on_closed = on_closed
        self._lock = threading.Lock()
        self._live = set()  # type: Set[Connection]
        self._count = 0
        self._listener = None  # type: Any
        self._waiter = None  # type: Optional[Waiter]
        self._thread = None  # type: Optional[threading.Thread]
        self._started = monotonic()
        self.change(behavior, settings)

    # Life.

    def start(self):
        # type: () -> ChaosProxy
        """Listen, and serve each connection in a thread. After :meth:`stop`, on the same port.

        :return: itself.
        :raises RuntimeError: if it runs already.
        :raises socket.error: if it cannot listen there.
        """
        if self._thread is not None:
            raise RuntimeError("the proxy runs already")
        self._listener = _listening.listen(self.address)
        self.address = (self.address[0], self._listener.getsockname()[1])
        self._waiter = Waiter()
        self._started = monotonic()
        self._thread = threading.Thread(target=self._accept, name="apnsclient chaos proxy")
        self._thread.daemon = True
        self._thread.start()
        _running.add(self)
        return self

    def stop(self, timeout=10.0):
        # type: (float) -> None
        """Stop listening, reset what is open, and end all threads. May be called twice.

        :param timeout: seconds to wait for the threads. A handler that does not come back is named
            in the log, and left alone.
        """
        thread, self._thread = self._thread, None
        if thread is None or self._waiter is None:
            return
        _running.discard(self)
        end = monotonic() + timeout
        self._waiter.stop()
        thread.join(timeout)
        with self._lock:
            live = list(self._live)
        for connection in live:
            connection.stop()
        for connection in live:
            if not connection.join(max(end - monotonic(), 0.0)):
                _logger.warning("Connection %d did not end within %s s: the handler %s does not "
                                "come back.", connection.number, timeout,
                                connection.record.handler)
        self._waiter.close()
        self.record.publish()

    def __enter__(self):
        # type: () -> ChaosProxy
        return self.start()

    def __exit__(self, *exception):
        # type: (*Any) -> None
        self.stop()

    def __repr__(self):
        # type: () -> str
        return "<%s: %s:%s to %s:%s, behavior %r, seed %r, %s>" % (
            type(self).__name__, self.address[0], self.address[1], self.backend[0],
            self.backend[1], self.behavior, self.seed,
            "stopped" if self._thread is None else "running")

    @property
    def uptime(self):
        # type: () -> float
        """Seconds since it was started."""
        return monotonic() - self._started

    # What it does.

    @property
    def backend(self):
        # type: () -> Address
        """``(host, port)`` that new connections are passed on to; may be set.

        :raises ConfigurationError: on setting, if it is anything else, such as text.
        """
        return self._backend

    @backend.setter
    def backend(self, address):
        # type: (Address) -> None
        if not isinstance(address, (tuple, list)) or len(address) < 2:
            raise ConfigurationError("the backend is %r; expected (host, port)" % (address,))
        self._backend = address

    @property
    def behavior(self):
        # type: () -> str
        """Which handlers serve how many connections of a hundred; setting it applies to new ones.

        :raises ConfigurationError: on setting, if it is malformed or names no handler.
        """
        return str(self.plan.behavior)

    @behavior.setter
    def behavior(self, text):
        # type: (str) -> None
        self.set_behavior(text)

    def set_behavior(self, text, existing=False):
        # type: (str, bool) -> None
        """Do what setting :attr:`behavior` does, on demand for open connections as well.

        :param text: the behavior (str).
        :param existing: True has each open connection draw again, and begin with what it draws.
        """
        self.change(behavior=text, existing=existing)

    def set_handler(self, name, existing=False, **options):
        # type: (str, bool, **Any) -> None
        """Have one handler serve all connections to come.

        :param name: its short or qualified name, or an alias.
        :param existing: True applies it to open connections as well, with a new handler for each.
        :param options: values for its options.
        :raises ConfigurationError: if there is no such handler or option.
        """
        self.change("100:" + name, {name: options}, existing)

    def configure(self, name, **options):
        # type: (str, **Any) -> None
        """Set options of a handler, for the connections to come.

        :param name: its short or qualified name, or an alias.
        :param options: values by option; text is converted to the option's type.
        :raises ConfigurationError: if there is no such handler or option, or no such value.
        """
        self.change(settings={name: options})

    def change(self, behavior=None, settings=None, existing=False):
        # type: (Optional[str], Optional[Mapping[str, Mapping[str, Any]]], bool) -> None
        """Change behavior and settings together, or with an exception nothing at all.

        :param behavior: the new behavior (str); None leaves it as it is.
        :param settings: values by handler and option, beside those that were set before.
        :param existing: True has each open connection draw again, and begin with what it draws.
        :raises ConfigurationError: if something of it cannot be used.
        """
        with self._lock:
            self.plan.change(behavior, settings)
            # In order: who draws which number must not depend on chance.
            for connection in sorted(self._live if existing else (), key=lambda one: one.number):
                connection.change_handler(self.plan.draw(connection.number))

    def settings(self, name, **options):
        # type: (str, **Any) -> Dict[str, Any]
        """Return the values of all options of a handler, after setting those that are given.

        :param name: its short or qualified name, or an alias.
        :param options: as with :meth:`configure`.
        """
        if options:
            self.configure(name, **options)
        return self.plan.settings(name)

    # What happened.

    @property
    def connections(self):
        # type: () -> List[ConnectionRecord]
        """The connections in order, as far as they are kept: list of :class:`.ConnectionRecord`."""
        return self.record.connections()

    @property
    def connection_count(self):
        # type: () -> int
        """How many connections have been accepted."""
        return self.record.connection_count

    @property
    def open_connections(self):
        # type: () -> int
        """How many of them are open."""
        return self.record.open_count

    @property
    def fault_count(self):
        # type: () -> int
        """How many faults have been injected."""
        return self.record.fault_count

    def wait_for(self, condition, timeout):
        # type: (Callable[[], Any], Optional[float]) -> bool
        """Wait for something to be true of the proxy.

        :param condition: function without arguments; it is called at once, and again whenever
            something happened.
        :param timeout: seconds, None for ever.
        :return: True if it became true in time (bool).
        """
        return self.record.wait_for(condition, timeout)

    # For handlers, and for the HTTP API.

    @property
    def behavior_names(self):
        # type: () -> List[str]
        """Names of the handlers in the behavior."""
        return self.plan.behavior.names

    def handler_names(self):
        # type: () -> List[str]
        """Return the short names and aliases of the handlers that there are."""
        return self.plan.handler_names()

    def handler_class(self, name):
        # type: (str) -> Any
        """Return the class of a handler.

        :param name: its short or qualified name, or an alias.
        :raises ConfigurationError: if there is none.
        """
        return self.plan.handler_class(name)

    def stop_importing(self):
        # type: () -> None
        """Have no more handlers imported: from here on, only those named by now are found.

        And those that are registered.

        :raises ConfigurationError: if an alias stands for a handler that there is not.
        """
        self.plan.stop_importing()

    # For its connections.

    def forget(self, connection):
        # type: (Connection) -> None
        """Record that a connection is over; see the base class."""
        with self._lock:
            self._live.discard(connection)
        self.record.end(connection.record)
        if self._on_closed is not None:
            self._on_closed(connection.record)

    # Inside.

    def _accept(self):
        # type: () -> None
        """Accept connections until the proxy is stopped; the body of the thread."""
        waiter, listener = self._waiter, self._listener
        assert waiter is not None
        try:
            while True:
                waiter.wait([listener])
                try:
                    accepted, peer = _listening.accept(listener)
                except socket.error as error:
                    if error.args[0] in _listening.OUT_OF_DESCRIPTORS:
                        _logger.warning("Cannot accept a connection: %s.", error)
                        waiter.sleep(0.1)
                    continue
                self._begin(accepted, peer)
        except Stopped:
            pass
        finally:
            listener.close()

    def _begin(self, accepted, peer):
        # type: (Any, Any) -> None
        """Serve an accepted connection."""
        try:
            with self._lock:
                self._count += 1
                connection = Connection(
                    self, accepted, peer[:2], self._count, self.plan.draw(self._count))
                self._live.add(connection)
        except socket.error as error:  # There are no more descriptors.
            _logger.warning("Connection %d is refused: %s.", self._count, error)
            accepted.close()
            return
        self.record.begin(connection.record)
        try:
            connection.start()
        except Exception:  # RuntimeError, and on Python 2.7 thread.error.
            _logger.warning("Connection %d is refused: there can be no more threads.",
                            connection.number)
            connection.abandon()


def _stop_all():
    # type: () -> None
    for proxy in list(_running):
        proxy.stop()


atexit.register(_stop_all)
