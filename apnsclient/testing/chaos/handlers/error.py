"""The handler ``error``: the client gets garbage as a response."""

from __future__ import absolute_import, division, print_function

from ...._compat import MYPY
from .. import settings, sockets
from . import Handler
from .base import BaseHandler

if MYPY:
    from typing import Any, Optional

    from ..sockets import Stream

__all__ = ["Error"]


@Handler.register
class Error(BaseHandler):
    """Responds to what the client sends with random bytes, and closes the connection.

    The bytes are drawn by the seed. What came from the backend before gets through as it is.
    """

    name = "error"
    options = {
        "after": ("Bytes of the client that get through to the backend before.", settings.count, 0),
        "size": ("Bytes of garbage.", settings.size, 64),
    }

    def __init__(self):
        # type: () -> None
        self._left = None  # type: Optional[int]

    def __call__(self, client_sock, backend_sock, to_backend):
        # type: (Stream, Stream, bool) -> Any
        """Pass on what may get through, and respond to what comes then."""
        if not to_backend:
            return True
        left = self.option("after") if self._left is None else self._left
        if left:
            self._left = left - len(self.forward(
                client_sock, backend_sock, True, min(left, sockets.CHUNK)))
            return True
        if not self.read(client_sock, backend_sock, True):
            self.write(client_sock, backend_sock, True, b"")
            return True
        garbage = self.random.bytes(self.option("size"))
        self.note("responded with %d bytes of garbage" % len(garbage))
        self.write(client_sock, backend_sock, False, garbage)
        client_sock.wait_until_sent()
        return False
