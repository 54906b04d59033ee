"""The handler ``slow``: so many bytes a second, and no more."""

from __future__ import absolute_import, division, print_function

from ...._compat import MYPY
from .. import settings, sockets
from . import Handler
from .base import DIRECTION, BaseHandler, direction_name

if MYPY:
    from typing import Any

    from ..sockets import Stream

__all__ = ["Slow"]

#: Pieces a second that it aims at.
_PIECES = 20


@Handler.register
class Slow(BaseHandler):
    """Passes on so many bytes a second in each direction, in up to 20 pieces a second.

    What has not been passed on is left unread, so that a fast sender has to wait in the end.
    """

    name = "slow"
    options = {
        "rate": ("Bytes a second.", settings.rate, 1024.0),
        "direction": DIRECTION,
    }

    def __call__(self, client_sock, backend_sock, to_backend):
        # type: (Stream, Stream, bool) -> Any
        """Pass on a piece, and pause for the time that it takes."""
        if not self.applies(to_backend):
            return True
        rate = self.option("rate")
        piece = int(min(max(rate / _PIECES, 1), sockets.CHUNK))
        data = self.read(client_sock, backend_sock, to_backend, piece)
        if data:
            self.note_once("%s slowed down to %g bytes a second" % (
                direction_name(to_backend), rate))
            self.pause(to_backend, len(data) / rate)
        self.write(client_sock, backend_sock, to_backend, data)
        return True
