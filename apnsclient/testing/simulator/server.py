"""The simulator as an object: start it, look at it, tell it what to do, stop it."""

from __future__ import absolute_import, division, print_function

import atexit
import datetime
import signal
import socket
import time

from ..._compat import MYPY
from ..certs import Authority
from .devices import Devices
from .engine import Engine
from .http2_half import Http2Half
from .policy import Limits
from .poller import best_poller
from .record import Record
from .script import Script
from .tls import server_context

if MYPY:
    from typing import Any, Callable, List, Optional, Sequence, Set, Tuple, Union

    from .provider_script import ProviderScript
    from .record import Accepted, Answer, Refused
    from .script import FeedbackScript

    Address = Tuple[str, int]

__all__ = ["Simulator"]

#: Running simulators, to be stopped before the interpreter takes their threads apart.
_running = set()  # type: Set[Simulator]


class Simulator(Http2Half):
    """Apple's side on loopback: binary gateway, feedback service, provider API over HTTP/2.

    Use it as a context manager, or call :meth:`start` and :meth:`stop`. Everything about it may be
    used from many threads. It runs in the process that started it: a forked child can do nothing
    with it but stop it, which closes the child's copies and leaves the parent's alone.

    :param strict: True refuses tokens that were not added to :attr:`devices`, with status 8, or
        BadDeviceToken over HTTP/2.
    :param record: True keeps every notification that is accepted, False none, an int that many of
        the last ones. The counts are exact in any case.
    :param host: address to listen on (str).
    :param gateway_port: port of the gateway; 0 takes a free one.
    :param feedback_port: port of the feedback service; 0 takes a free one.
    :param token_size: size of a device token in bytes at the gateway; None accepts any. The
        provider API takes any.
    :param payload_size: largest payload in bytes at the gateway. Apple's limit was 256 before
        2014, then 2048.
    :param script: :class:`.Script` of the connections that :meth:`script` says nothing about.
    :param authority: issues the server's certificate, and clients' certificates must come from it
        (:class:`apnsclient.testing.certs.Authority`). None makes a new one.
    :param tls_1_3: False allows TLS 1.2 only.
    :param linger: seconds for which a connection that is being closed is still read from, so that
        the client can read the error frame.
    :param receive_buffer: size in bytes of the kernel's buffer for what a client sends; None leaves
        it to the system. A small one makes a client block soon when the gateway stalls.
    :param on_accepted: called with each batch of notifications that was accepted, a list of
        :class:`.Accepted`, by the simulator's thread; it must neither take long nor stop the
        simulator.
    :param on_refused: called likewise with each :class:`.Refused`, when it is answered.
    :param provider_port: port of the provider API; 0 takes a free one.
    :param provider_script: :class:`.ProviderScript` of the connections that
        :meth:`script_provider` says nothing about.
    :param channels_port: port of the channel management; 0 takes a free one.
    :param production: True makes it Apple's production environment, False the sandbox. They differ
        in the certificates and keys that they accept.
    :param clock: returns the time by which provider tokens are judged, in seconds since 1970.
    :param key_string: PEM text of the key for provider tokens, EC on the curve P-256 (str); None
        makes a new one.

    :ivar authority: the authority.
    :ivar gateway_address: ``(host, port)`` of the gateway, once it has been started.
    :ivar feedback_address: ``(host, port)`` of the feedback service, once it has been started.
    :ivar channels: broadcast channels of all applications (:class:`.BroadcastChannels`).
    """

    def __init__(self, strict=False, record=True, host="127.0.0.1", gateway_port=0,
                 feedback_port=0, token_size=32, payload_size=2048, script=None, authority=None,
                 tls_1_3=True, linger=5.0, receive_buffer=None, on_accepted=None, provider_port=0,
                 provider_script=None, channels_port=0, production=False, clock=time.time,
                 key_string=None, on_refused=None):
        # type: (bool, Union[bool, int], str, int, int, Optional[int], int, Optional[Script], Optional[Authority], bool, float, Optional[int], Optional[Callable[[List[Accepted]], Any]], int, Optional[ProviderScript], int, bool, Callable[[], float], Optional[str], Optional[Callable[[Refused], Any]]) -> None
        self.authority = Authority() if authority is None else authority
        self.devices = Devices(strict)
        self.gateway_address = (host, gateway_port)  # type: Address
        self.feedback_address = (host, feedback_port)  # type: Address
        self._record = Record(record, on_accepted, on_refused)
        self._limits = Limits(token_size, payload_size)
        self._script = Script() if script is None else script
        self._linger = linger
        self._receive_buffer = receive_buffer
        server = self.authority.issue(
            host, dns=["localhost"], addresses=["127.0.0.1", "::1"], usage="server")
        self._context = server_context(server, self.authority.ca_string, tls_1_3)
        self._set_up_http2(
            server_context(server, self.authority.ca_string, tls_1_3, is_http2=True),
            (host, provider_port), (host, channels_port), provider_script, production, clock,
            key_string)
        self._credential = self.authority.issue("apnsclient simulator client")
        self._engine = None  # type: Optional[Engine]
        self._waiting = set()  # type: Any

    # Life.

    def start(self):
        # type: () -> Simulator
        """Listen, and serve in a thread. After :meth:`stop`, on the same ports again.

        :return: itself.
        :raises RuntimeError: if it runs already.
        :raises OSError: if it cannot listen on a port.
        """
        if self._engine is not None:
            raise RuntimeError("the simulator runs already")
        self._engine = self._new_engine()
        _running.add(self)
        return self

    def _new_engine(self):
        # type: () -> Engine
        return Engine(self)

    def stop(self):
        # type: () -> None
        """Close every connection, stop listening, and end the thread. May be called twice."""
        engine, self._engine = self._engine, None
        if engine is not None:
            _running.discard(self)
            engine.stop()
        for waker in list(self._waiting):
            waker()

    def __enter__(self):
        # type: () -> Simulator
        return self.start()

    def __repr__(self):
        # type: () -> str
        state = "stopped" if self._engine is None else "running, gateway at port %d" % (
            self.gateway_address[1])
        return "<%s: %s>" % (type(self).__name__, state)

    def __exit__(self, *exception):
        # type: (*Any) -> None
        self.stop()

    def run_forever(self, signals=(signal.SIGINT, signal.SIGTERM)):
        # type: (Sequence[int]) -> Optional[int]
        """Serve until a signal arrives or :meth:`stop` is called; then stop.

        Starts the simulator if need be. Signals are handled only when called in the main thread,
        and what handled them before does so again afterwards.

        :param signals: numbers of the signals that end it.
        :return: number of the signal, or None if it was stopped.
        """
        ours, theirs = socket.socketpair()
        poller = best_poller()
        poller.register(ours.fileno(), True, False)
        received = []  # type: List[int]

        def wake(number=None, frame=None):
            # type: (Optional[int], Any) -> None
            if number is not None:
                received.append(number)
            theirs.send(b"\0")

        previous = {}
        self._waiting.add(wake)
        try:
            for number in signals:
                try:
                    previous[number] = signal.signal(number, wake)
                except ValueError:
                    # Not the main thread: only stop() ends it.
                    break
            if self._engine is None:
                self.start()
            while not poller.poll(None):
                # Python 2.7 lets signals interrupt it that are none of ours.
                pass
        finally:
            self._waiting.discard(wake)
            for number in previous:
                signal.signal(number, previous[number])
            self.stop()
            poller.close()
            ours.close()
            theirs.close()
        return received[0] if received else None

    # Credentials.

    @property
    def ca_string(self):
        # type: () -> str
        """PEM text of the authority's certificate: what a client must trust."""
        return self.authority.ca_string

    @property
    def cert_string(self):
        # type: () -> str
        """PEM text of a client certificate with its key, which the simulator accepts."""
        return self._credential.pem

    def client_certificate(self, common_name="apnsclient simulator client", expired=False,
                           foreign=False, **options):
        # type: (str, bool, bool, **Any) -> str
        """Make another client certificate.

        :param common_name: common name of the subject.
        :param expired: True makes one that expired a day ago, which the simulator refuses.
        :param foreign: True has it issued by another authority, which the simulator refuses.
        :param options: further arguments of :meth:`apnsclient.testing.certs.Authority.issue`, for
            example ``topic``.
        :return: PEM text of the certificate and its key.
        """
        if expired:
            now = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=_now())
            options["not_after"] = now - datetime.timedelta(days=1)
        authority = Authority("another authority") if foreign else self.authority
        return authority.issue(common_name, **options).pem

    # What happened.

    @property
    def accepted(self):
        # type: () -> List[Accepted]
        """What was accepted, in order: a list of :class:`.Accepted`, as far as it is kept."""
        return self._record.accepted()

    def accepted_tokens(self):
        # type: () -> List[str]
        """Return the tokens that were accepted, in order, as lower-case hexadecimal text."""
        return self._record.accepted_tokens()

    @property
    def accepted_count(self):
        # type: () -> int
        """How many notifications were accepted."""
        return self._record.accepted_count

    @property
    def answers(self):
        # type: () -> List[Answer]
        """The error frames and error responses that were sent: a list of :class:`.Answer`."""
        return self._record.answers()

    @property
    def answer_count(self):
        # type: () -> int
        """How many error frames, and responses with an error, were sent."""
        return self._record.answer_count

    @property
    def connections(self):
        # type: () -> int
        """How many connections to the gateway completed their handshake."""
        return self._record.connections

    @property
    def open_connections(self):
        # type: () -> int
        """How many of them are not closed yet."""
        return self._record.open_connections

    @property
    def feedback_connections(self):
        # type: () -> int
        """How many connections to the feedback service completed their handshake."""
        return self._record.feedback_connections

    @property
    def feedback_count(self):
        # type: () -> int
        """How many rows of the feedback list have been read."""
        return self._record.feedback_count

    @property
    def resumed(self):
        # type: () -> int
        """How many connections, to any service, resumed a TLS session."""
        return self._record.resumed

    @property
    def refused(self):
        # type: () -> int
        """How many connections, to any service, failed before their handshake was complete.

        Those that come without ALPN to a service of HTTP/2 count among them.
        """
        return self._record.refused

    @property
    def held(self):
        # type: () -> int
        """How many error frames and responses are held back (``hold=True`` in their script)."""
        return self._record.held

    def forget(self):
        # type: () -> None
        """Drop what is recorded. The counts stay."""
        self._record.forget()

    def wait_for(self, predicate, timeout):
        # type: (Callable[[], Any], Optional[float]) -> bool
        """Wait for something to be true of the simulator.

        :param predicate: function without arguments; it is asked at once, and again whenever
            something happened.
        :param timeout: seconds, None for ever.
        :return: whether it became true in time.
        """
        return self._record.wait_for(predicate, timeout)

    # What is to happen.

    def script(self, *scripts):
        # type: (*Optional[Script]) -> None
        """Say how the gateway behaves on the connections to come.

        :param scripts: the n-th connection that is accepted from now on gets the n-th, after those
            of earlier calls; None stands for the usual behaviour, and so it goes on after the last.
        """
        self._started().gateway.scripts.extend(scripts)

    def script_feedback(self, *scripts):
        # type: (*Optional[FeedbackScript]) -> None
        """Say the same of the connections to the feedback service."""
        self._started().feedback.scripts.extend(scripts)

    def release_held(self):
        # type: () -> int
        """Send what is held back, error frames and responses; return how many, once they are sent.

        Wait for :attr:`held` first: a notification that is still on its way is not held yet.
        """
        engine = self._started()
        return int(engine.loop.ask(engine.release_held))

    def disconnect_all(self, reset=False):
        # type: (bool) -> int
        """Close every connection to the gateway, idle or not, without an error frame.

        When it returns, the end of the stream (or the reset) has been sent.

        :param reset: True resets the TCP connections.
        :return: how many connections that were.
        """
        engine = self._started()
        return int(engine.loop.ask(lambda: engine.gateway.disconnect(reset)))

    def _started(self):
        # type: () -> Engine
        if self._engine is None:
            raise RuntimeError("the simulator does not run; start it first")
        return self._engine


def _now():
    # type: () -> int
    return int(time.time())


def _stop_all():
    # type: () -> None
    for simulator in list(_running):
        simulator.stop()


atexit.register(_stop_all)
