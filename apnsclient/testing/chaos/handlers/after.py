"""What the faults share that strike once so many bytes have got through."""

from __future__ import absolute_import, division, print_function

from ...._compat import MYPY
from .. import settings, sockets
from .base import BaseHandler

if MYPY:
    from typing import Any, Dict

    from ..sockets import Stream

__all__ = ["AFTER", "AfterBytes"]

#: The option ``after``, for the mapping ``options`` of such a fault.
AFTER = ("Bytes that get through first, in each direction in which it acts.", settings.count, 0)


class AfterBytes(BaseHandler):
    """Passes on exactly so many bytes in a direction, then strikes there.

    With 0 bytes that is as soon as both sides are connected. Which pieces the bytes came in does
    not matter. A handler that takes over an open connection counts from then on, and strikes
    before the next byte if none is to get through.

    :cvar limit: name of the option that says how many bytes.
    """

    limit = "after"

    def __init__(self):
        # type: () -> None
        #: Bytes that may still get through, by direction.
        self._left = {}  # type: Dict[bool, int]

    def strike(self, client_sock, backend_sock, to_backend):
        # type: (Stream, Stream, bool) -> Any
        """Do what the fault is; called when the bytes of a direction have got through.

        Called again whenever there is something more to be read in that direction.

        :return: something true to go on, something false to close the connection.
        """
        raise NotImplementedError("%s has no strike()" % type(self).__name__)

    def on_connect(self, client_sock, backend_sock):
        # type: (Stream, Stream) -> Any
        """Strike at once if nothing is to get through."""
        return all(self.strike(client_sock, backend_sock, to_backend)
                   for to_backend in (True, False)
                   if self.applies(to_backend) and not self.option(self.limit))

    def __call__(self, client_sock, backend_sock, to_backend):
        # type: (Stream, Stream, bool) -> Any
        """Pass on what may get through, and strike once that is all."""
        if not self.applies(to_backend):
            return True
        left = self._left.get(to_backend, self.option(self.limit))
        if left:
            data = self.forward(client_sock, backend_sock, to_backend, min(left, sockets.CHUNK))
            left -= len(data)
            self._left[to_backend] = left
            if left or not data:
                return True
        return self.strike(client_sock, backend_sock, to_backend)
