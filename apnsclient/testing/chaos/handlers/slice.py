"""The handler ``slice``: everything arrives, in small pieces."""

from __future__ import absolute_import, division, print_function

import socket
import sys

from ...._compat import MYPY
from .. import settings
from . import Handler
from .base import DIRECTION, BaseHandler, direction_name

if MYPY:
    from typing import Any

    from ..sockets import Stream

__all__ = ["Slice"]

#: Keeps Linux from joining what waits for a slow receiver's acknowledgement to one segment.
_SEPARATE = getattr(socket, "MSG_EOR", 0) if sys.platform.startswith("linux") else 0


@Handler.register
class Slice(BaseHandler):
    """Sends TCP segments of at most so many bytes each; with TLS of its own, records.

    A receiver that is slow may find several of them in its buffer. A gap between them, longer than
    the receiver needs, lets it read them one by one.
    """

    name = "slice"
    options = {
        "size": ("Most bytes of a segment.", settings.size, 1),
        "gap": ("Seconds from one segment to the next.", settings.seconds, 0.0),
        "direction": DIRECTION,
    }

    def __call__(self, client_sock, backend_sock, to_backend):
        # type: (Stream, Stream, bool) -> Any
        """Pass on one segment, and pause for the gap."""
        if not self.applies(to_backend):
            return True
        data = self.read(client_sock, backend_sock, to_backend, self.option("size"))
        if not data:
            self.write(client_sock, backend_sock, to_backend, data)
            return True
        self.note_once("%s in segments of %d bytes" % (
            direction_name(to_backend), self.option("size")))
        if self.option("gap"):
            self.pause(to_backend, self.option("gap"))
        self.destination(client_sock, backend_sock, to_backend).sendall(data, _SEPARATE)
        return True
