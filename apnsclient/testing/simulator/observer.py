"""What wants to know what happens in a simulator, while it happens."""

from __future__ import absolute_import, division, print_function

from ..._compat import MYPY

if MYPY:
    from typing import Sequence

    from .connection_facts import ConnectionFacts
    from .exchange import Exchange

__all__ = ["Observer"]


class Observer(object):
    """Called by the simulator's thread. The base class does nothing.

    A method must neither take long nor stop the simulator; what it raises is logged. An exchange
    that it is given goes on to change until its outcome is not ``"pending"`` any more.
    """

    def arrived(self, exchanges):
        # type: (Sequence[Exchange]) -> None
        """Requests have come over one connection, in this order; they may have their response."""

    def changed(self, exchanges):
        # type: (Sequence[Exchange]) -> None
        """Requests that had none have their response now, or will never get one."""

    def connection_opened(self, connection):
        # type: (ConnectionFacts) -> None
        """A client has connected, and the handshake is complete."""

    def connection_changed(self, connection):
        # type: (ConnectionFacts) -> None
        """An event has been added to a connection."""

    def connection_closed(self, connection):
        # type: (ConnectionFacts) -> None
        """A connection is closed, for whatever reason."""

    def handshake_failed(self, service, peer):
        # type: (str, object) -> None
        """A client has connected to a service, and the handshake came to nothing.

        :param peer: address of the client as its socket has it (tuple), None if that is not known.
        """

    def round_ended(self):
        # type: () -> None
        """Called once after all that has happened at one time, if anything has."""
