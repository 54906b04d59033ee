"""The services of HTTP/2, provider API and channel management: a conversation for each connection.

Everything here runs in the event loop's thread.
"""

from __future__ import absolute_import, division, print_function

from ..._compat import MYPY
from ...protocols.http2.headers import load_hpack
from .exchange import ACCEPTED, REJECTED
from .provider_callers import CertificateCaller, TokenCaller, read_topics
from .provider_conversation import ProviderConversation
from .provider_keys import load_jwt
from .provider_script import GOAWAY
from .record import ChannelRequest, ErrorResponse
from .script import RESET, STALL
from .service import Service
from .tls import HTTP2
from .tls_connection import ConnectionHandler

if MYPY:
    from typing import Any, Callable, Dict, Optional

    from OpenSSL import SSL

    from .connection_facts import ConnectionFacts
    from .exchange import ProviderExchange
    from .interventions import Interventions
    from .loop import Loop
    from .provider_head import HeadReader
    from .provider_keys import ProviderKeys
    from .provider_policy import Judge
    from .provider_responses import Ids
    from .provider_script import ProviderScript
    from .record import Record
    from .tls_connection import TLSConnection

__all__ = ["ProviderService", "find_missing_library"]


def find_missing_library():
    # type: () -> Optional[ImportError]
    """Return what is raised for a library that these services need, None if they have all."""
    try:
        load_hpack()
        load_jwt()
    except ImportError as error:
        return error
    return None


class Environment(object):
    """What all connections over HTTP/2 have in common.

    :param keys: :class:`.provider_keys.ProviderKeys`.
    :param is_production: whether this is Apple's production environment, or the sandbox (bool).
    :param clock: returns the time in seconds since 1970.
    :param ids: :class:`.provider_responses.Ids`.
    :param heads: :class:`.provider_head.HeadReader`.
    """

    def __init__(self, keys, is_production, clock, ids, heads):
        # type: (ProviderKeys, bool, Callable[[], float], Ids, HeadReader) -> None
        self.is_production = is_production
        self.ids = ids
        self.heads = heads
        self._keys = keys
        self.clock = clock
        self._name = "production" if is_production else "sandbox"

    def caller(self, connection):
        # type: (TLSConnection) -> Any
        """Return who calls on a connection."""
        certificate = connection.peer_certificate()
        if certificate is None:
            return TokenCaller(self._keys, self._name, self.clock)
        topics, environments = read_topics(certificate)
        return CertificateCaller(topics, environments, self._name)


class ProviderService(Service):
    """The provider API, or the channel management.

    The parameters are those of :class:`.service.Service`, but for the clock, and three more.

    :param name: its name, as :class:`.ConnectionFacts` has it (str).
    :param environment: :class:`Environment`.
    :param judge: decides about requests, like :meth:`.provider_policy.ProviderPolicy.judge`.
    """

    def __init__(self, loop, record, context, usual_scripts, interventions, linger, name, kind,
                 environment, judge):
        # type: (Loop, Record, SSL.Context, Dict[str, Any], Interventions, float, str, str, Environment, Judge) -> None  # noqa: E501
        super(ProviderService, self).__init__(
            loop, record, context, usual_scripts, interventions, linger, environment.clock, kind)
        self.name = name
        self._environment = environment
        self._judge = judge

    def new_handler(self, script):
        # type: (ProviderScript) -> ConnectionHandler
        """Return the handler of a connection; see the base class."""
        return _ProviderHandler(self, script)

    def new_conversation(self, connection, facts, script, later):
        # type: (TLSConnection, ConnectionFacts, ProviderScript, Any) -> ProviderConversation
        """Return the conversation of a connection; ``facts`` and ``later`` are described there."""
        environment = self._environment
        page_url = self.record.page_url
        return ProviderConversation(
            environment.heads, self._judge, environment.caller(connection), script,
            environment.ids, not environment.is_production, later, facts, self.record.numbers,
            environment.clock, self.interventions,
            None if page_url is None else page_url.encode("ascii"))

    def limit_streams(self):
        # type: () -> int
        """Send the limit of streams on all connections; return how many that were."""
        handlers = [connection.handler for connection in self.connections]
        return sum(handler.limit_streams() for handler in handlers
                   if isinstance(handler, _ProviderHandler))

    def goaway(self, reason, timestamp):
        # type: (Optional[str], Optional[int]) -> int
        """Send GOAWAY on all connections; return how many that were."""
        handlers = [connection.handler for connection in self.connections]
        return sum(handler.goaway(reason, timestamp) for handler in handlers
                   if isinstance(handler, _ProviderHandler))


class _ProviderHandler(ConnectionHandler):
    """One connection to the provider API."""

    def __init__(self, service, script):
        # type: (ProviderService, ProviderScript) -> None
        self._service = service
        self._script = script
        self._connection = None  # type: Optional[TLSConnection]
        self._conversation = None  # type: Optional[ProviderConversation]

    def opened(self, connection):
        # type: (TLSConnection) -> None
        if connection.protocol != HTTP2:
            connection.finish()
            return
        self._connection = connection
        self._conversation = self._service.new_conversation(
            connection, self._service.opened(connection), self._script, self._later)
        self._conversation.begin()
        self._flush()

    def received(self, connection, data):
        # type: (TLSConnection, bytes) -> None
        conversation = self._conversation
        if conversation is None:
            return
        exchanges = conversation.receive(data)
        if exchanges:
            self._service.record.arrived(exchanges)
            self._record_ended(conversation, exchanges[0].number)
        self._flush()

    def ended(self, connection):
        # type: (TLSConnection) -> None
        connection.finish()

    def closed(self, connection, is_orderly):
        # type: (TLSConnection, bool) -> None
        if self._conversation is not None:
            self._conversation.close()
            self._record_ended(self._conversation)
        self._service.closed(connection)

    def goaway(self, reason, timestamp):
        # type: (Optional[str], Optional[int]) -> int
        """Send GOAWAY, and close once every request has its response; return 1 if it was sent."""
        conversation = self._conversation
        if conversation is None or conversation.ending is not None:
            return 0
        conversation.goaway(reason=reason, timestamp=timestamp)
        self._flush()
        return 1

    def limit_streams(self):
        # type: () -> int
        """Send the limit of streams that there is now; return 1 if it was sent."""
        conversation = self._conversation
        if conversation is None or conversation.ending is not None:
            return 0
        conversation.limit_streams()
        self._flush()
        return 1

    def _later(self, delay, function):
        # type: (Optional[float], Callable[[], Any]) -> None
        def call():
            # type: () -> None
            function()
            self._flush()

        if delay is not None:
            self._service.loop.call_later(delay, call)
        elif self._connection is not None:
            self._service.hold(self._connection, call)

    def _record_ended(self, conversation, first_new=None):
        # type: (ProviderConversation, Optional[int]) -> None
        """Record the exchanges that are complete.

        :param first_new: number of the first that has been told of as it is now; None for none.
        """
        ended, record = conversation.take_ended(), self._service.record
        changed = [each for each in ended if first_new is None or each.number < first_new]
        if changed:
            record.changed(changed)
        is_about_channels = self._service.name == "channels"
        for exchange in ended:
            if exchange.outcome == REJECTED:
                record.add_error(_error_of(exchange))
            elif (is_about_channels and exchange.outcome == ACCEPTED
                  and exchange.kind == "channel"):
                record.add_channel_request(ChannelRequest(
                    exchange.connection.service_number, exchange.status, exchange.stream,
                    exchange.method, exchange.path, exchange.channel_id))

    def _flush(self):
        # type: () -> None
        """Record responses, send what is to be sent, and end what is to end."""
        conversation, connection = self._conversation, self._connection
        if conversation is None or connection is None:
            return
        self._record_ended(conversation)
        if conversation.take_news():
            self._service.record.connection_changed(conversation.facts)
        output = conversation.take_output()
        if output:
            connection.send(output)
        ending = conversation.ending
        if conversation.has_failed:
            connection.finish()
        elif ending == GOAWAY:
            if conversation.is_drained and not self._script.goaway_stays:
                connection.finish()
        elif ending == STALL:
            connection.pause()
        elif ending == RESET:
            connection.reset()
        elif ending is not None:
            connection.finish()


def _error_of(exchange):
    # type: (ProviderExchange) -> ErrorResponse
    return ErrorResponse(
        exchange.connection.service_number, exchange.status or 0, exchange.stream, exchange.reason,
        exchange.method, exchange.path, exchange.token, exchange.topic, exchange.push_type)
