"""The handler ``silence``: a connection that was idle for too long is dead without a sign."""

from __future__ import absolute_import, division, print_function

from ...._compat import MYPY
from .. import settings
from . import Handler
from .base import DIRECTION, BaseHandler, direction_name

if MYPY:
    from typing import Any

    from ..sockets import Stream

__all__ = ["Silence"]


@Handler.register
class Silence(BaseHandler):
    """Lets nothing through any more once nothing has come, from either side, for some time.

    That is what a NAT box does that has forgotten the connection. It stays open on both sides; who
    writes to it can do so until the buffers are full. After a peer has ended its side it lasts for
    the proxy's timeout at most: one that is gone looks like one that still waits.
    """

    name = "silence"
    options = {
        "idle": ("Seconds without data from either side after which it is silent.",
                 settings.seconds, 60.0),
        "direction": DIRECTION,
    }

    def __init__(self):
        # type: () -> None
        self._is_silent = False

    def on_connect(self, client_sock, backend_sock):
        # type: (Stream, Stream) -> Any
        """Begin to count the seconds."""
        self.connection.set_timer(self.option("idle"))
        return True

    on_take_over = on_connect

    def __call__(self, client_sock, backend_sock, to_backend):
        # type: (Stream, Stream, bool) -> Any
        """Pass on what comes, and begin to count again."""
        self.forward(client_sock, backend_sock, to_backend)
        if not self._is_silent:
            self.connection.set_timer(self.option("idle"))
        return True

    def on_timer(self, client_sock, backend_sock):
        # type: (Stream, Stream) -> Any
        """Fall silent, for good."""
        self._is_silent = True
        for to_backend in (True, False):
            if self.applies(to_backend):
                self.note("%s silent after %g s" % (
                    direction_name(to_backend), self.option("idle")))
                self.pause(to_backend)
        return True
