"""The handler ``refuse``: the client's connection is ended before there is one to the backend."""

from __future__ import absolute_import, division, print_function

from ...._compat import MYPY
from . import Handler
from .base import BaseHandler

if MYPY:
    from typing import Any

    from ..sockets import Stream

__all__ = ["Refuse"]


@Handler.register
class Refuse(BaseHandler):
    """Resets, or closes, what has been accepted. The backend sees nothing of it, and TLS neither.

    A connection that is open already goes on.
    """

    name = "refuse"
    options = {"reset": ("Whether to reset the connection (TCP RST), or else to close it.",
                         bool, True)}

    def on_accept(self, client_sock):
        # type: (Stream) -> Any
        """End the connection."""
        if self.option("reset"):
            self.note("refused with a reset")
            client_sock.reset()
        else:
            self.note("refused with a close")
        return False
