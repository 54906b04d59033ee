"""Apple's verdict on each notification to the gateway. No socket, no clock, no thread.

The facts are those of Apple, *Local and Remote Notification Programming Guide*, appendix "Binary
Provider API": success is silence; the first bad notification gets one error frame, and
everything behind it is discarded; status 10 names the last notification that was accepted. The old
command 0 has no error frame: there the gateway only hangs up.
"""

from __future__ import absolute_import, division, print_function

from collections import namedtuple

from ..._compat import MYPY
from .magic_tokens import MAGIC
from .script import CLOSE, ERROR, SHUTDOWN

if MYPY:
    from typing import List, Optional, Sequence, Tuple

    from ...errors import ProtocolError
    from ...protocols.binary import Notification
    from .devices import Devices
    from .script import Script

__all__ = ["Ending", "GatewayConversation", "Limits"]

PROCESSING_ERROR = 1
MISSING_TOKEN = 2
MISSING_PAYLOAD = 4
INVALID_TOKEN_SIZE = 5
INVALID_PAYLOAD_SIZE = 7
SHUT_DOWN = 10

_SIMPLE = 0

#: What the gateway accepts: size of a token, None for any, and largest payload, both in bytes.
Limits = namedtuple("Limits", "token_size payload_size")

#: How a connection ends: one of the kinds in :mod:`.script`, and the fields of the error frame,
#: None where none is sent.
Ending = namedtuple("Ending", "kind status identifier")


class GatewayConversation(object):
    """One connection to the gateway, from its beginning to its end, without transport.

    Once an :class:`Ending` has been returned, the conversation is over, and whatever else the
    client sends is to be discarded.

    :param devices: registry of devices (:class:`.devices.Devices`).
    :param limits: :class:`Limits`.
    :param script: :class:`.script.Script` of this connection.

    :ivar accepted_count: notifications that were accepted.
    """

    def __init__(self, devices, limits, script):
        # type: (Devices, Limits, Script) -> None
        self._push, self._find_magic = devices.push, devices.find_magic
        self._limits = limits
        self._statuses = script.statuses
        #: What happens after how many accepted notifications; never by default.
        self._kind, self._count = script.ending or (CLOSE, -1)
        self._last = None  # type: Optional[Notification]
        self.accepted_count = 0

    def begin(self):
        # type: () -> Optional[Ending]
        """Return the ending that was scripted for the beginning, if there is one."""
        return self._scripted() if self._count == 0 else None

    def receive(self, notifications, error=None):
        # type: (Sequence[Notification], Optional[ProtocolError]) -> Tuple[List[Notification], Optional[Ending]]
        """Decide about notifications.

        :param notifications: list of notifications as they were parsed.
        :param error: what could not be parsed behind them; None if nothing was wrong.
        :return: ``(accepted notifications, Ending or None)``.
        """
        accepted = []  # type: List[Notification]
        for notification in notifications:
            status = self._judge(notification)
            if status is not None:
                return accepted, self._refusal(status, notification)
            accepted.append(notification)
            self._last = notification
            self.accepted_count += 1
            if self.accepted_count == self._count:
                return accepted, self._scripted()
            if notification.token[:4] == MAGIC:
                ending = self._magic_ending(notification.token)
                if ending is not None:
                    return accepted, ending
        if error is not None:
            return accepted, Ending(ERROR, PROCESSING_ERROR, error.identifier or 0)
        return accepted, None

    def _judge(self, notification):
        # type: (Notification) -> Optional[int]
        """Return the status of the error, or None if the notification is accepted."""
        token, payload, limits = notification.token, notification.payload, self._limits
        if self._statuses and self.accepted_count + 1 in self._statuses:
            return self._statuses[self.accepted_count + 1]
        if not token:
            return MISSING_TOKEN
        if len(token) != limits.token_size and limits.token_size is not None:
            return INVALID_TOKEN_SIZE
        if not payload:
            return MISSING_PAYLOAD
        if len(payload) > limits.payload_size:
            return INVALID_PAYLOAD_SIZE
        return self._push(token)

    def _refusal(self, status, notification):
        # type: (int, Notification) -> Ending
        if notification.command == _SIMPLE:
            return Ending(CLOSE, None, None)
        if status == SHUT_DOWN:
            return self._shutdown()
        return Ending(ERROR, status, notification.identifier or 0)

    def _scripted(self):
        # type: () -> Ending
        if self._kind == SHUTDOWN:
            return self._shutdown()
        return Ending(self._kind, None, None)

    def _magic_ending(self, token):
        # type: (bytes) -> Optional[Ending]
        """Return the ending that a token asks for itself, behind its notification."""
        magic = self._find_magic(token)
        if magic is None or magic.ending is None:
            return None
        return self._shutdown() if magic.ending == SHUTDOWN else Ending(magic.ending, None, None)

    def _shutdown(self):
        # type: () -> Ending
        last = self._last.identifier if self._last is not None else None
        return Ending(ERROR, SHUT_DOWN, last or 0)
