"""The gateway of the binary protocol: one conversation for each connection.

Everything here runs in the event loop's thread.
"""

from __future__ import absolute_import, division, print_function

from ..._compat import MYPY
from ...protocols.binary import NotificationParser, encode_error
from .exchange import ACCEPTED, DISCARDED, PENDING, UNANSWERED, GatewayExchange
from .gateway_conversation import SHUT_DOWN, GatewayConversation
from .record import ErrorResponse
from .script import ERROR, GARBAGE, RESET, STALL
from .service import Service
from .tls_connection import ConnectionHandler

if MYPY:
    from typing import Any, Callable, Dict, Optional, Sequence

    from OpenSSL import SSL

    from ...protocols.binary import Notification
    from .devices import Devices
    from .gateway_conversation import Ending, Limits
    from .interventions import Interventions
    from .loop import Loop, Timer
    from .record import Record
    from .script import Script
    from .tls_connection import TLSConnection

__all__ = ["GatewayService"]


class GatewayService(Service):
    """The gateway; its parameters are those of :class:`.service.Service`, and two more.

    :param devices: registry of devices (:class:`.devices.Devices`).
    :param limits: :class:`.gateway_conversation.Limits`.
    """

    name = "gateway"

    def __init__(self, loop, record, context, usual_scripts, interventions, linger, clock, devices,
                 limits):
        # type: (Loop, Record, SSL.Context, Dict[str, Any], Interventions, float, Callable[[], float], Devices, Limits) -> None  # noqa: E501
        super(GatewayService, self).__init__(
            loop, record, context, usual_scripts, interventions, linger, clock)
        self._devices, self.limits = devices, limits

    def new_handler(self, script):
        # type: (Script) -> ConnectionHandler
        """Return the handler of a connection; see the base class."""
        return _GatewayHandler(
            self, script, GatewayConversation(self._devices, self.limits, script))


class _GatewayHandler(ConnectionHandler):
    """One connection to the gateway."""

    def __init__(self, service, script, conversation):
        # type: (GatewayService, Script, GatewayConversation) -> None
        self._service = service
        self._script = script
        self._parser = NotificationParser()
        self._conversation = conversation
        self._connection = None  # type: Optional[TLSConnection]
        self._facts = None  # type: Any
        self._timer = None  # type: Optional[Timer]
        self._ending = None  # type: Optional[Ending]
        #: What the error frame is for.
        self._rejected = None  # type: Optional[GatewayExchange]

    def opened(self, connection):
        # type: (TLSConnection) -> None
        self._connection = connection
        self._facts = self._service.opened(connection)
        self._end(self._conversation.begin())

    def received(self, connection, data):
        # type: (TLSConnection, bytes) -> None
        if self._ending is not None:
            return
        notifications = self._parser.feed(data)
        accepted, ending = self._conversation.receive(notifications, self._parser.error)
        if notifications:
            self._record(notifications, len(accepted), ending)
        self._end(ending)

    def _record(self, notifications, count, ending):
        # type: (Sequence[Notification], int, Optional[Ending]) -> None
        """Write down notifications, the first ``count`` of which were accepted."""
        service, record = self._service, self._service.record
        now, limit = service.clock(), service.limits.payload_size
        exchanges = [GatewayExchange(next(record.numbers), now, self._facts, each, limit)
                     for each in notifications]
        for exchange in exchanges[:count]:
            exchange.outcome, exchange.is_processed = ACCEPTED, True
        for exchange in exchanges[count:]:
            exchange.outcome = DISCARDED
        if exchanges[count:] and ending is not None and ending.status not in (None, SHUT_DOWN):
            self._rejected = exchanges[count]
            self._rejected.outcome = PENDING
        record.arrived(exchanges)

    def ended(self, connection):
        # type: (TLSConnection) -> None
        # An error frame that is on its way still goes out: the client may be reading.
        if self._ending is None:
            connection.finish()

    def closed(self, connection, is_orderly):
        # type: (TLSConnection, bool) -> None
        if self._timer is not None:
            self._timer.cancel()
        rejected = self._rejected
        if rejected is not None and rejected.outcome == PENDING:
            rejected.outcome = UNANSWERED
            self._service.record.changed([rejected])
        self._service.closed(connection)

    def _send_error(self):
        # type: () -> None
        """Send the error frame, and close."""
        ending, connection = self._ending, self._connection
        if ending is not None and connection is not None:
            rejected, record = self._rejected, self._service.record
            token = None if rejected is None else rejected.token or None
            record.add_error(ErrorResponse(
                self._facts.service_number, ending.status, ending.identifier, token=token))
            if rejected is not None:
                rejected.reject(self._service.clock(), ending.status)
                record.changed([rejected])
            connection.send(encode_error(ending.status, ending.identifier))
            connection.finish()

    def _end(self, ending):
        # type: (Optional[Ending]) -> None
        connection = self._connection
        if ending is None or connection is None:
            return
        self._ending = ending
        if ending.kind == ERROR:
            self._send_error_in_time()
        elif ending.kind == STALL:
            connection.pause()
        elif ending.kind == RESET:
            connection.reset()
        else:
            if ending.kind == GARBAGE:
                connection.send(self._script.garbage)
            connection.finish()

    def _send_error_in_time(self):
        # type: () -> None
        if self._script.hold and self._connection is not None:
            self._service.hold(self._connection, self._send_error)
        elif self._script.delay:
            self._timer = self._service.loop.call_later(self._script.delay, self._send_error)
        else:
            self._send_error()
