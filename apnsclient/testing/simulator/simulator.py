"""The simulator as an object: start it, look at it, script what it does, stop it."""

from __future__ import absolute_import, division, print_function

import atexit
import datetime
import time

from ..._compat import MYPY
from ..certs import Authority
from .broadcast_channels import BroadcastChannels
from .configuration import Addresses, Configuration
from .devices import Devices
from .engine import Engine
from .faults import Faults
from .gateway_conversation import Limits
from .interventions import Interventions
from .provider_keys import ProviderKeys
from .provider_script import ProviderScript
from .provider_service import find_missing_library
from .query import Query
from .record import Record
from .script import FeedbackScript, Script
from .stored_exchange import read_exchanges
from .tls import issue_server_certificate, new_gateway_context, new_http2_context

if MYPY:
    from typing import Any, Callable, Dict, Iterable, List, Optional, Set, Tuple, Union

    from .exchange import Exchange
    from .journal import Journal
    from .observer import Observer
    from .record import Accepted, ChannelRequest, ErrorResponse
    from .services import Services

    Address = Tuple[str, int]

__all__ = ["Simulator"]

#: The key that each simulator knows from the beginning, and whose it is.
_KEY_ID, _TEAM_ID = "SIMULATOR1", "SIMTEAM123"

#: Running simulators, to be stopped before the interpreter takes their threads apart.
_running = set()  # type: Set[Simulator]


class Simulator(object):
    """Apple's side on loopback: binary gateway, feedback service, provider API over HTTP/2.

    Use it as a context manager, or call :meth:`start` and :meth:`stop`. Everything about it may be
    used from many threads. It runs in the process that started it: a forked child can do nothing
    with it but stop it, which closes the child's copies and leaves the parent's alone.

    :param strict: True rejects tokens that were not added to :attr:`devices`, with status 8, or
        BadDeviceToken over HTTP/2.
    :param record: True keeps every request, False none, an int that many of the last ones, in up to
        256 MiB of memory; a :class:`.Journal` has limits of its own. Counts are exact in any case.
    :param host: address to listen on (str).
    :param names: names and IP addresses by which clients reach it besides ``host``, ``localhost``
        and loopback addresses (iterable of str). Its certificate is for them.
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
    :param observers: are told what happens, by the simulator's thread (iterable of
        :class:`.Observer`).
    :param magic_tokens: False takes tokens that begin with ``decafbad`` as any others.
    :param provider_port: port of the provider API; 0 takes a free one.
    :param provider_script: :class:`.ProviderScript` of the connections that
        :meth:`script_provider` says nothing about.
    :param channels_port: port of the channel management; 0 takes a free one.
    :param production: True makes it Apple's production environment, False the sandbox. They differ
        in the certificates and keys that they accept.
    :param clock: returns the time by which provider tokens are judged, and that of what happens,
        in seconds since 1970.
    :param key_string: PEM text of the key for provider tokens, EC on the curve P-256 (str); None
        makes a new one.

    :raises ValueError: if something of it is invalid; the message says what.

    :ivar authority: the authority.
    :ivar host: where it listens (str); ``names`` are the other names (tuple of str).
    :ivar devices: registry of devices (:class:`.Devices`).
    :ivar channels: broadcast channels of all applications (:class:`.BroadcastChannels`).
    :ivar faults: faults that begin and end while it runs (:class:`.Faults`).
    """

    #: Identifier of the key that :attr:`key_string` holds.
    key_id = _KEY_ID
    #: Identifier of the team that it belongs to.
    team_id = _TEAM_ID

    def __init__(self, strict=False, record=True, host="127.0.0.1", gateway_port=0,
                 feedback_port=0, token_size=32, payload_size=2048, script=None, authority=None,
                 tls_1_3=True, linger=5.0, receive_buffer=None, provider_port=0,
                 provider_script=None, channels_port=0, production=False, clock=time.time,
                 key_string=None, observers=(), magic_tokens=True, names=()):
        # type: (bool, Union[bool, int, Journal], str, int, int, Optional[int], int, Optional[Script], Optional[Authority], bool, float, Optional[int], int, Optional[ProviderScript], int, bool, Callable[[], float], Optional[str], Iterable[Observer], bool, Iterable[str]) -> None  # noqa: E501
        self.authority = Authority() if authority is None else authority
        self.host, self.names = host, tuple(names)
        self.devices = Devices(strict, has_magic=magic_tokens)
        self.channels = BroadcastChannels()
        self._keys = ProviderKeys()
        self._key_string = self._keys.add(_KEY_ID, _TEAM_ID, key_string=key_string)
        self._credential = self.authority.issue(
            "apnsclient simulator client", not_after=self.authority.not_after)
        self._record = Record(record, list(observers))
        self._missing = find_missing_library()
        has_http2 = self._missing is None
        self._addresses = Addresses(
            (host, gateway_port), (host, feedback_port),
            (host, provider_port) if has_http2 else None,
            (host, channels_port) if has_http2 else None)
        server = issue_server_certificate(self.authority, host, self.names)
        interventions = Interventions(self.devices.find_magic if magic_tokens else None)
        usual_scripts = {
            "gateway": Script() if script is None else script,
            "feedback": FeedbackScript(),
            "provider": ProviderScript() if provider_script is None else provider_script,
            "channels": ProviderScript(),
        }
        self.faults = Faults(interventions, usual_scripts, self._started)
        self._configuration = Configuration(
            self._record, self.devices, self.channels, self._keys,
            new_gateway_context(server, self.authority.ca_string, tls_1_3),
            new_http2_context(server, self.authority.ca_string, tls_1_3),
            usual_scripts, interventions,
            Limits(token_size, payload_size), production, clock, linger, receive_buffer)
        self._engine = None  # type: Optional[Engine]
        #: Devices and keys as they were when it was started.
        self._first_state = self.devices.snapshot(), self._keys.all()

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
        self._engine = self._new_engine(self._configuration, self._addresses)
        self._first_state = self.devices.snapshot(), self._keys.all()
        self._addresses = self._engine.addresses
        _running.add(self)
        return self

    def _new_engine(self, configuration, addresses):
        # type: (Configuration, Addresses) -> Engine
        return Engine(configuration, addresses)

    def stop(self):
        # type: () -> None
        """Close every connection, stop listening, and end the thread. May be called twice."""
        engine, self._engine = self._engine, None
        if engine is not None:
            _running.discard(self)
            engine.stop()

    @property
    def is_running(self):
        # type: () -> bool
        """Whether it has been started, and not stopped since."""
        return self._engine is not None

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

    # Addresses.

    @property
    def gateway_address(self):
        # type: () -> Address
        """``(host, port)`` of the gateway, once it has been started."""
        return self._addresses.to_connect_to("gateway")

    @property
    def feedback_address(self):
        # type: () -> Address
        """``(host, port)`` of the feedback service, once it has been started."""
        return self._addresses.to_connect_to("feedback")

    @property
    def provider_address(self):
        # type: () -> Address
        """``(host, port)`` of the provider API, once it has been started.

        :raises ImportError: if ``hpack`` or ``PyJWT`` is not installed, which it needs.
        """
        self._need_http2()
        return self._addresses.to_connect_to("provider")

    @property
    def channels_address(self):
        # type: () -> Address
        """``(host, port)`` of the channel management, once it has been started.

        :raises ImportError: as :attr:`provider_address` does.
        """
        self._need_http2()
        return self._addresses.to_connect_to("channels")

    def _need_http2(self):
        # type: () -> None
        if self._missing is not None:
            raise ImportError(str(self._missing))

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

    @property
    def key_string(self):
        # type: () -> str
        """PEM text of a private key for provider tokens, like that of Apple's .p8 files."""
        return self._key_string

    @property
    def token_parameters(self):
        # type: () -> Dict[str, Any]
        """Arguments of a ``ProviderToken`` whose requests are accepted (dict)."""
        return {"key_id": self.key_id, "team_id": self.team_id, "key_string": self.key_string}

    def add_key(self, key_id, team_id=_TEAM_ID, environment=None, topics=None, related=None):
        # type: (str, str, Optional[str], Optional[Iterable[str]], Optional[str]) -> str
        """Make another key for provider tokens.

        :param key_id: its identifier (str); a key of the same one is replaced.
        :param team_id: identifier of the team that it belongs to (str).
        :param environment: ``"sandbox"`` or ``"production"`` for a key of that environment only;
            None for both.
        :param topics: topics that it may push to (iterable of str); None for all.
        :param related: identifier of another key of the team (str), whose provider tokens may be
            used over the same connection, as when one replaces the other; None for none.
        :return: PEM text of the private key.
        :raises ValueError: if there is no such environment, or no such other key.
        """
        return self._keys.add(key_id, team_id, environment, topics, related=related)

    def keys(self):
        # type: () -> List[Dict[str, Any]]
        """Return the keys whose tokens are accepted, as arguments of :meth:`add_key` (dicts)."""
        return [{"key_id": key.key_id, "team_id": key.team_id, "environment": key.environment,
                 "topics": None if key.topics is None else sorted(key.topics),
                 "related": key.related}
                for _, key in sorted(self._keys.all().items())]

    def revoke_key(self, key_id):
        # type: (str) -> None
        """Forget a key: tokens that it signed are refused from now on."""
        self._keys.remove(key_id)

    # What happened.

    @property
    def journal(self):
        # type: () -> Journal
        """The last requests with what became of them, and connections (:class:`.Journal`)."""
        return self._record.journal

    def load(self, documents):
        # type: (Iterable[Dict[str, Any]]) -> int
        """Add requests to the journal that were exported, from this simulator or another one.

        They come after all others, with new numbers, and on connections of their own.

        :param documents: what ``exchange_document()`` returns (iterable of dict).
        :return: how many those were; the last are kept.
        :raises ValueError: if one of them is none; nothing has been added then.
        """
        found, count = read_exchanges(documents, self.journal.keep, self.journal.keep_bytes)
        if self._engine is None:
            self._record.load(found)
        else:
            self._engine.loop.ask(lambda: self._record.load(found))
        return count

    def add_observer(self, observer):
        # type: (Observer) -> None
        """Have another :class:`.Observer` told what happens."""
        self._record.add_observer(observer)

    def remove_observer(self, observer):
        # type: (Observer) -> None
        """Tell an observer nothing any more. What is being told meanwhile may still reach it."""
        self._record.remove_observer(observer)

    @property
    def page_url(self):
        # type: () -> Optional[str]
        """Address of a page about a request, with ``{number}`` in it; None if there is none.

        It can be set, and is told with each response over connections that are opened from then
        on: in the field ``apns-simulator-page``.
        """
        return self._record.page_url

    @page_url.setter
    def page_url(self, url):
        # type: (Optional[str]) -> None
        self._record.page_url = url

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
    def errors(self):
        # type: () -> List[ErrorResponse]
        """Error frames, and responses with an error, in order: :class:`.ErrorResponse`."""
        return self._record.errors()

    @property
    def error_count(self):
        # type: () -> int
        """How many error frames, and responses with an error, were sent."""
        return self._record.error_count

    @property
    def channel_requests(self):
        # type: () -> List[ChannelRequest]
        """Requests to the channel management that succeeded: list of :class:`.ChannelRequest`."""
        return self._record.channel_requests()

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
    def provider_connections(self):
        # type: () -> int
        """How many connections to the provider API completed their handshake."""
        return self._record.provider_connections

    @property
    def open_provider_connections(self):
        # type: () -> int
        """How many of them are not closed yet."""
        return self._record.open_provider_connections

    @property
    def channel_connections(self):
        # type: () -> int
        """How many connections to the channel management completed their handshake."""
        return self._record.channel_connections

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

    def reset(self):
        # type: () -> None
        """Make everything as it was when it was started: devices, keys, scripts, other faults.

        There are no channels then, and nothing is kept. Connections stay open, and counts go on.
        """
        devices, keys = self._first_state
        self.faults.clear()
        self.devices.restore(devices)
        self._keys.restore(keys)
        self.channels.clear()
        self.forget()

    def wait_for(self, predicate, timeout):
        # type: (Callable[[], Any], Optional[float]) -> bool
        """Wait for something to be true of the simulator.

        :param predicate: function without arguments; it is called at once, and again whenever
            something happened.
        :param timeout: seconds, None for ever.
        :return: True if it became true in time (bool).
        """
        return self._record.wait_for(predicate, timeout)

    def wait_for_notification(self, count=1, timeout=5.0, **conditions):
        # type: (int, Optional[float], **Any) -> List[Exchange]
        """Wait until notifications have come, and return them.

        :param count: how many (int, from 1).
        :param timeout: seconds, None for ever.
        :param conditions: what must be true of each: the arguments of :class:`.Query`, for example
            ``token``, ``topic``, ``outcome`` or ``text``.
        :return: the first ``count`` that were kept, in order of arrival (list of
            :class:`.Exchange`).
        :raises AssertionError: if they have not come in time. Its text has what came near.
        :raises RuntimeError: if nothing is kept (``record=False``).
        """
        if self.journal.keep == 0:
            raise RuntimeError("nothing is kept that could be waited for (record=False), "
                               "expected record=True or how many")
        conditions.setdefault("kind", "notification")
        query = Query(**conditions)
        found = self._record.journal.wait_for(query, count, timeout)
        if not found.is_enough:
            raise AssertionError(found.describe(query, count))
        return list(found.exchanges)

    # What is to happen.

    def script(self, *scripts):
        # type: (*Optional[Script]) -> None
        """Say how the gateway behaves on the connections to come.

        :param scripts: the n-th connection that is accepted from now on gets the n-th, after those
            of earlier calls; None stands for the usual behaviour, and so it goes on after the last.
        """
        self._services().gateway.add_scripts(scripts)

    def script_feedback(self, *scripts):
        # type: (*Optional[FeedbackScript]) -> None
        """Say the same of the connections to the feedback service."""
        self._services().feedback.add_scripts(scripts)

    def script_provider(self, *scripts):
        # type: (*Optional[ProviderScript]) -> None
        """Say the same of the connections to the provider API."""
        self._need_http2()
        self._services().provider.add_scripts(scripts)

    def script_channels(self, *scripts):
        # type: (*Optional[ProviderScript]) -> None
        """Say the same of the connections to the channel management."""
        self._need_http2()
        self._services().channels.add_scripts(scripts)

    def release_held(self):
        # type: () -> int
        """Send what is held back, error frames and responses; return how many, once they are sent.

        Wait for :attr:`held` first: a notification that is still on its way is not held yet.
        """
        return self._do(self._services().release_held)

    def disconnect_all(self, reset=False):
        # type: (bool) -> int
        """Close every connection to the gateway, idle or not, without an error frame.

        When it returns, the end of the stream (or the reset) has been sent.

        :param reset: True resets the TCP connections.
        :return: how many connections that were.
        """
        gateway = self._services().gateway
        return self._do(lambda: gateway.disconnect(reset))

    def disconnect_providers(self, reset=False):
        # type: (bool) -> int
        """Close every connection to the provider API in the same way, without GOAWAY."""
        self._need_http2()
        provider = self._services().provider
        return self._do(lambda: provider.disconnect(reset))

    def goaway_all(self, reason=None, timestamp=None):
        # type: (Optional[str], Optional[int]) -> int
        """Send GOAWAY on every connection to the provider API, and close it.

        :param reason: reason in the debug data (str), None for none.
        :param timestamp: time in the same place, in milliseconds since 1970 (int).
        :return: how many connections that were; GOAWAY has been sent on each.
        """
        self._need_http2()
        provider = self._services().provider
        return self._do(lambda: provider.goaway(reason, timestamp))

    def _services(self):
        # type: () -> Services
        return self._started().services

    def _do(self, function):
        # type: (Callable[[], int]) -> int
        """Call a function in the engine's thread; return its result."""
        return int(self._started().loop.ask(function))

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
