"""What is known of one connection to the simulator."""

from __future__ import absolute_import, division, print_function

from collections import deque, namedtuple

from ..._compat import MYPY

if MYPY:
    from typing import Any, Deque, List, Optional, Tuple

    Address = Tuple[Any, ...]

__all__ = ["ConnectionEvent", "ConnectionFacts", "TLSFacts"]

#: Events of a connection that are kept, at most so many of the last.
_MOST_EVENTS = 200


class ConnectionEvent(namedtuple("ConnectionEvent", "time kind text")):
    """Something that happened on a connection.

    :ivar time: seconds since 1970 (float).
    :ivar kind: ``"goaway"``, ``"settings"``, ``"reset"`` and others (str).
    :ivar text: the same for people (str).
    """

    __slots__ = ()


class TLSFacts(namedtuple("TLSFacts", "version cipher alpn is_resumed")):
    """What a TLS handshake agreed upon.

    :ivar version: version of TLS (str).
    :ivar cipher: name of the cipher suite (str).
    :ivar alpn: protocol that ALPN chose (str), or None.
    :ivar is_resumed: whether an earlier session was resumed (bool).
    """

    __slots__ = ()


class ConnectionFacts(object):
    """One connection whose handshake is complete. Written by the simulator's thread alone.

    :ivar number: number among the connections to all services, from 1 (int).
    :ivar service_number: number among those to the same service, from 1 (int).
    :ivar service: ``"gateway"``, ``"feedback"``, ``"provider"`` or ``"channels"``.
    :ivar peer: address of the client, as its socket has it (tuple).
    :ivar tls: :class:`.connection_facts.TLSFacts`.
    :ivar certificate: the client's (:class:`.credentials.CertificateFacts`), None without one.
    :ivar opened: when the handshake was complete, in seconds since 1970 (float).
    :ivar closed: when it was closed, None as long as it is open.
    :ivar ending: why it was closed (str), None as long as it is open.
    :ivar request_count: requests, or notifications, that came (int).
    """

    __slots__ = ("number", "service_number", "service", "peer", "tls", "certificate", "opened",
                 "closed", "ending", "request_count", "_events")

    def __init__(self, number, service_number, service, peer, tls, certificate, opened):
        # type: (int, int, str, Address, TLSFacts, Any, float) -> None
        self.number = number
        self.service_number = service_number
        self.service = service
        self.peer = peer
        self.tls = tls
        self.certificate = certificate
        self.opened = opened
        self.closed = None  # type: Optional[float]
        self.ending = None  # type: Optional[str]
        self.request_count = 0
        self._events = deque(maxlen=_MOST_EVENTS)  # type: Deque[ConnectionEvent]

    def add_event(self, time, kind, text):
        # type: (float, str, str) -> None
        """Write down what happened; see :class:`.connection_facts.ConnectionEvent`."""
        self._events.append(ConnectionEvent(time, kind, text))

    def close(self, time, ending):
        # type: (float, str) -> None
        """Write down that the connection is closed, and why (str)."""
        self.closed, self.ending = time, ending

    @property
    def events(self):
        # type: () -> List[ConnectionEvent]
        """What happened, in order (list of :class:`.connection_facts.ConnectionEvent`)."""
        while True:
            try:
                return list(self._events)
            except RuntimeError:  # Changed by the simulator's thread meanwhile.
                continue

    def __repr__(self):
        # type: () -> str
        return "<ConnectionFacts: %s %d, %d requests, %s>" % (
            self.service, self.number, self.request_count, self.ending or "open")
