"""What all services have in common: connections, scripts for those to come, and what is held back.

Everything here runs in the event loop's thread.
"""

from __future__ import absolute_import, division, print_function

from collections import deque

from ..._compat import MYPY
from ...backends import _sockets
from .connection_facts import ConnectionFacts
from .credentials import read_certificate
from .tls_connection import TLSConnection, close_quietly

if MYPY:
    import socket
    from typing import Any, Callable, Deque, Dict, List, Set, Tuple

    from OpenSSL import SSL

    from .interventions import Interventions
    from .loop import Loop
    from .record import Record
    from .tls_connection import ConnectionHandler

__all__ = ["Service"]


class Service(object):
    """One of the simulator's services; a subclass says who serves a connection.

    :param loop: event loop (:class:`.loop.Loop`).
    :param record: what happened (:class:`.record.Record`).
    :param context: TLS context of its connections.
    :param usual_scripts: script of a connection for which there is no other, by service (dict).
    :param interventions: :class:`.interventions.Interventions`.
    :param linger: seconds (float) for which a connection that is finished discards what arrives.
    :param kind: begins the names of its counts in the record (str).
    :param clock: returns the time in seconds since 1970.

    :ivar connections: those that are not closed yet, with those whose handshake goes on.
    """

    #: Its name, as :class:`.ConnectionFacts` has it.
    name = ""

    def __init__(self, loop, record, context, usual_scripts, interventions, linger, clock, kind=""):
        # type: (Loop, Record, SSL.Context, Dict[str, Any], Interventions, float, Callable[[], float], str) -> None  # noqa: E501
        self.loop = loop
        self.record = record
        self.connections = set()  # type: Set[TLSConnection]
        self._scripts = deque()  # type: Deque[Any]
        self._usual_scripts = usual_scripts
        self.interventions = interventions
        self._context = context
        self._linger = linger
        self.clock = clock
        self._count, self._open_count = kind + "connections", "open_" + kind + "connections"
        #: The connections that are open.
        self._facts = {}  # type: Dict[TLSConnection, ConnectionFacts]
        #: What is held back, and on which connection.
        self._held = []  # type: List[Tuple[TLSConnection, Callable[[], Any]]]
        #: Connections that are accepted and left alone.
        self._stalled = []  # type: List[socket.socket]

    def new_handler(self, script):
        # type: (Any) -> ConnectionHandler
        """Return the handler of a connection with a script."""
        raise NotImplementedError

    # New connections.

    def add_scripts(self, scripts):
        # type: (Any) -> None
        """Have the connections to come go by these scripts, in order; None for the usual one."""
        self._scripts.extend(scripts)

    def next_script(self):
        # type: () -> Any
        """Return the script of the connection that comes next."""
        script = self._scripts.popleft() if self._scripts else None
        return self._usual_scripts[self.name] if script is None else script

    def queued_scripts(self):
        # type: () -> List[Any]
        """Return the scripts of the connections to come, None for the usual one."""
        return list(self._scripts)

    def clear_scripts(self):
        # type: () -> None
        """Drop the scripts of the connections to come."""
        self._scripts.clear()

    def accept(self, sock):
        # type: (socket.socket) -> None
        """Take a connection that was just accepted."""
        script = self.next_script()
        if script.refuse or self.interventions.refuses_connections:
            self.record.handshake_failed(self.name, None)
            _sockets.abandon(sock)
            sock.close()
        elif script.stall_handshake:
            self._stalled.append(sock)
        else:
            self.connections.add(TLSConnection(
                self.loop, sock, self._context, self.new_handler(script), self._linger))

    # For the handlers.

    def opened(self, connection):
        # type: (TLSConnection) -> ConnectionFacts
        """Count a connection whose handshake is complete; return what is known of it."""
        record = self.record
        record.add(resumed=int(connection.is_resumed),
                   **{self._count: 1, self._open_count: 1})
        facts = self._facts[connection] = ConnectionFacts(
            next(record.connection_numbers), getattr(record, self._count), self.name,
            connection.peer, connection.tls_facts(), read_certificate(
                connection.peer_certificate()), self.clock())
        record.connection_opened(facts)
        return facts

    def closed(self, connection):
        # type: (TLSConnection) -> None
        """Forget a connection that is closed, and what is held back on it."""
        self.connections.discard(connection)
        kept = [each for each in self._held if each[0] is not connection]
        self.record.add(held=len(kept) - len(self._held))
        self._held = kept
        facts = self._facts.pop(connection, None)
        if facts is None:
            self.record.handshake_failed(self.name, connection.peer)
            return
        facts.close(self.clock(), connection.ending)
        self.record.add(**{self._open_count: -1})
        self.record.connection_closed(facts)

    def hold(self, connection, send):
        # type: (TLSConnection, Callable[[], Any]) -> None
        """Have a function called when what is held back is released."""
        self._held.append((connection, send))
        self.record.add(held=1)

    # For the simulator.

    def release_held(self):
        # type: () -> int
        """Send what is held back; return how many error frames or responses that were."""
        held, self._held = self._held, []
        self.record.add(held=-len(held))
        for _, send in held:
            send()
        return len(held)

    def disconnect(self, is_reset):
        # type: (bool) -> int
        """Close all connections whose handshake is complete; return how many that were."""
        connections = [each for each in self.connections if each.is_established]
        for connection in connections:
            if is_reset:
                connection.reset()
            else:
                connection.finish()
        return len(connections)

    def close(self):
        # type: () -> None
        """Close all connections at once."""
        for connection in list(self.connections):
            connection.close()
        for sock in self._stalled:
            close_quietly(sock)
        del self._stalled[:]

    def abandon(self):
        # type: () -> None
        """Close the descriptors alone: for a forked child."""
        for connection in self.connections:
            connection.abandon()
        for sock in self._stalled:
            sock.close()
