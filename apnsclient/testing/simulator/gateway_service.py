"""The gateway of the binary protocol: one conversation for each connection.

Everything here runs in the event loop's thread.
"""

from __future__ import absolute_import, division, print_function

from binascii import hexlify

import six

from ..._compat import MYPY
from ...protocols.binary import NotificationParser, encode_error
from .gateway_conversation import SHUT_DOWN, GatewayConversation
from .record import ErrorResponse
from .script import ERROR, GARBAGE, RESET, STALL
from .service import Service
from .tls_connection import ConnectionHandler

if MYPY:
    from typing import Optional

    from OpenSSL import SSL

    from .devices import Devices
    from .gateway_conversation import Ending, Limits
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

    def __init__(self, loop, record, context, script, linger, devices, limits):
        # type: (Loop, Record, SSL.Context, Script, float, Devices, Limits) -> None
        super(GatewayService, self).__init__(loop, record, context, script, linger)
        self._devices, self._limits = devices, limits

    def new_handler(self, script):
        # type: (Script) -> ConnectionHandler
        """Return the handler of a connection; see the base class."""
        return _GatewayHandler(
            self, script, GatewayConversation(self._devices, self._limits, script))


class _GatewayHandler(ConnectionHandler):
    """One connection to the gateway."""

    def __init__(self, service, script, conversation):
        # type: (Service, Script, GatewayConversation) -> None
        self._service = service
        self._script = script
        self._parser = NotificationParser()
        self._conversation = conversation
        self._connection = None  # type: Optional[TLSConnection]
        self._number = 0
        self._timer = None  # type: Optional[Timer]
        self._ending = None  # type: Optional[Ending]
        self._rejected_token = None  # type: Optional[str]

    def opened(self, connection):
        # type: (TLSConnection) -> None
        self._connection = connection
        self._number = self._service.opened(connection)
        self._end(self._conversation.begin())

    def received(self, connection, data):
        # type: (TLSConnection, bytes) -> None
        if self._ending is not None:
            return
        notifications = self._parser.feed(data)
        accepted, ending = self._conversation.receive(notifications, self._parser.error)
        if accepted:
            self._service.record.accept(self._number, accepted)
        if ending is not None and ending.status not in (None, SHUT_DOWN):
            rejected = notifications[len(accepted):len(accepted) + 1]
            self._rejected_token = "".join(
                six.ensure_str(hexlify(one.token or b"")) for one in rejected) or None
        self._end(ending)

    def ended(self, connection):
        # type: (TLSConnection) -> None
        # An error frame that is on its way still goes out: the client may be reading.
        if self._ending is None:
            connection.finish()

    def closed(self, connection, is_orderly):
        # type: (TLSConnection, bool) -> None
        if self._timer is not None:
            self._timer.cancel()
        self._service.closed(connection)

    def _send_error(self):
        # type: () -> None
        """Send the error frame, and close."""
        ending, connection = self._ending, self._connection
        if ending is not None and connection is not None:
            self._service.record.add_error(ErrorResponse(
                self._number, ending.status, ending.identifier, token=self._rejected_token))
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
