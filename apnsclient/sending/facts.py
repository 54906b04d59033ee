"""What a sender, and the shell around it, note for an observer: events that nobody was told yet.

There are no facts where there is no observer. Nothing here calls an observer: the shell does, where
nobody waits for it. Time is an argument.
"""

from __future__ import absolute_import, division, print_function

from .._compat import MYPY
from ..errors import ProtocolError, Timeout
from ..events import (
    ConnectFailed,
    ConnectionClosed,
    ConnectionOpened,
    NotificationsResent,
    ProviderTokenTaken,
    Responses,
    Waited,
)
from ..outcomes import parse_response
from ..protocols.http2.frames import name_of_error
from ..reasons import reason_of

if MYPY:
    from typing import Any, Callable, Dict, List, Optional, Tuple

    from ..events import Event
    from .binary_stream import GatewayStream
    from .http2_connection import SenderConnection

    Address = Tuple[str, int]

__all__ = ["CLOSED_HERE", "ENDED", "Facts"]

#: What is wrong with a connection that the server has ended without a word.
ENDED = "the server ended the connection"
#: What is wrong with one that was in good order.
CLOSED_HERE = "the connection was closed here"


class Facts(object):
    """Facts about one address.

    :param add: called with each :class:`~apnsclient.events.Event`, by any thread; it must not wait.
    :param address: ``(host, port)``.
    :param protocol: ``"http2"`` or ``"binary"``.
    """

    def __init__(self, add, address, protocol):
        # type: (Callable[[Event], None], Address, str) -> None
        self.add = add
        self.address = address
        self.protocol = protocol
        # How many notifications are sent again, and why, of which no event was made yet.
        self._resent = {}  # type: Dict[str, int]

    # Requests over HTTP/2; called with the lock of the sender held.

    def note_responses(self, batches, now):
        # type: (List[Any], float) -> None
        """Note that the last response has come to each of some batches."""
        for batch in batches:
            self.add(Responses(now, self.address, self.protocol, now - batch.written_at,
                               len(batch.indices)))

    def count_resent(self, reason, count=1):
        # type: (str, int) -> None
        """Count notifications that are sent again; :meth:`note_resent` tells it."""
        if count:
            self._resent[reason] = self._resent.get(reason, 0) + count

    def note_resent(self, now):
        # type: (float) -> None
        """Note all that was counted."""
        if self._resent:
            for reason, count in sorted(self._resent.items()):
                self.add(NotificationsResent(now, self.address, self.protocol, reason, count))
            self._resent.clear()

    def note_token(self, credential, age, now):
        # type: (Any, float, float) -> None
        """Note that a connection sends another provider token.

        :param credential: the :class:`~apnsclient.provider_token.ProviderToken`.
        :param age: how old the token is, in seconds (float).
        """
        self.add(ProviderTokenTaken(now, self.address, credential.key_id, credential.team_id, age))

    # Waiting and connections.

    def note_waited(self, reason, seconds, now):
        # type: (str, float, float) -> None
        """Note how long something has waited; see :class:`~apnsclient.events.Waited`."""
        self.add(Waited(now, self.address, self.protocol, reason, seconds))

    def note_opened(self, credential, is_resumed, seconds, now):
        # type: (Any, Optional[bool], float, float) -> None
        """Note that a new connection is ready.

        :param credential: certificate, provider token, or what stands in for one.
        :param is_resumed: whether TLS resumed an earlier session (bool), or None.
        """
        self.add(ConnectionOpened(now, self.address, self.protocol, seconds, is_resumed,
                                  getattr(credential, "days_left", None)))

    def note_failed(self, error, seconds, now):
        # type: (BaseException, float, float) -> None
        """Note that a connection could not be had."""
        self.add(ConnectFailed(now, self.address, self.protocol, seconds, type(error).__name__))

    def note_closed(self, why, seconds, notifications, now):
        # type: (Tuple[str, Optional[str]], float, int, float) -> None
        """Note that a connection has ended.

        :param why: reason and detail, see :class:`~apnsclient.events.ConnectionClosed`.
        """
        self.add(ConnectionClosed(now, self.address, self.protocol, why[0], why[1], seconds,
                                  notifications))

    def note_http2_closed(self, state, ours, now):
        # type: (SenderConnection, str, float) -> None
        """Note that a connection over HTTP/2 was closed, once.

        :param ours: why, if it was in good order.
        """
        if state.is_told:
            state.is_told = False
            self.note_closed(_why_ended(state, ours), now - state.opened_at,
                             state.client.next_stream // 2, now)


    def note_gateway_closed(self, stream, ours, now):
        # type: (GatewayStream, str, float) -> None
        """Note that a connection over the binary protocol was closed, once.

        :param ours: why, if it was in good order.
        """
        opened_at, stream.opened_at = stream.opened_at, None
        if opened_at is not None:
            self.note_closed(_why_gateway_ended(stream, ours), now - opened_at,
                             stream.ledger.issued, now)


def _why_gateway_ended(stream, ours):
    # type: (GatewayStream, str) -> Tuple[str, Optional[str]]
    failure = stream.failure
    if stream.response is not None:
        return "response", reason_of(stream.response[0]).explanation
    if not stream.is_over:
        return ours, None
    if stream.is_refused:
        return "refused", None
    if failure is None:
        return "end", None
    if not isinstance(failure, Exception):
        return "interrupted", None
    if isinstance(failure, ProtocolError):
        return "protocol", None
    return "timeout" if isinstance(failure, Timeout) else "lost", None


def _why_ended(state, ours):
    # type: (SenderConnection, str) -> Tuple[str, Optional[str]]
    """Return reason and detail of a connection's end."""
    client = state.client
    if client.error is not None:
        return "protocol", name_of_error(client.error.code)
    if state.is_cut:
        return "interrupted", None
    if state.retired_for is not None or state.is_rejected:
        return "retired", None if state.retired_for is None else state.retired_for.name
    if client.goaway is not None:
        return "goaway", parse_response(client.goaway.debug)[0] or name_of_error(client.goaway.code)
    if state.is_silent or state.is_stalled:
        return "timeout", None
    if state.limit.refuses_all:
        return "refused", None
    if state.problem in ("", CLOSED_HERE):
        return ours, None
    return "end" if state.problem == ENDED else "lost", None
