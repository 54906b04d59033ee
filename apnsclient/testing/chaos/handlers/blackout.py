"""The handler ``blackout``: what is sent is taken, and is gone."""

from __future__ import absolute_import, division, print_function

from ...._compat import MYPY
from . import Handler
from .base import DIRECTION, BaseHandler, direction_name

if MYPY:
    from typing import Any

    from ..sockets import Stream

__all__ = ["Blackout"]


@Handler.register
class Blackout(BaseHandler):
    """Takes everything and passes on nothing: neither side ever gets a response, or an error.

    The end of the stream is gone like everything else. After it the connection lasts for the
    proxy's timeout at most: a peer that is gone looks like one that still waits.
    """

    name = "blackout"
    options = {"direction": DIRECTION}

    def __call__(self, client_sock, backend_sock, to_backend):
        # type: (Stream, Stream, bool) -> Any
        """Read, and drop it."""
        if not self.applies(to_backend):
            return True
        if not self.read(client_sock, backend_sock, to_backend):
            self.connection.set_timer(self.proxy.timeout)
        self.note_once("%s blacked out" % direction_name(to_backend))
        return True

    def on_timer(self, client_sock, backend_sock):
        # type: (Stream, Stream) -> Any
        """End the connection, which nobody may be waiting for."""
        self.connection.reset()
        return False
