"""The handler ``hang``: from some point on nothing is read any more."""

from __future__ import absolute_import, division, print_function

from ...._compat import MYPY
from . import Handler
from .after import AFTER, AfterBytes
from .base import DIRECTION, direction_name

if MYPY:
    from typing import Any

    from ..sockets import Stream

__all__ = ["Hang"]


@Handler.register
class Hang(AfterBytes):
    """Leaves unread what comes after the first bytes, as a program does that hangs.

    The connection stays open. Its peer can write until the buffers of both systems are full, and
    waits from then on. After a peer has ended its side the connection lasts for the proxy's timeout
    at most: one that is gone looks like one that still waits.
    """

    name = "hang"
    options = {"after": AFTER, "direction": DIRECTION}

    def strike(self, client_sock, backend_sock, to_backend):
        # type: (Stream, Stream, bool) -> Any
        """Read no more in the direction; called once, since nothing is seen there any more."""
        self.note("%s hangs after %d bytes" % (direction_name(to_backend), self.option("after")))
        self.pause(to_backend)
        return True
