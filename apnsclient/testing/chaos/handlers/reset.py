"""The handler ``reset``: both sides get a TCP reset."""

from __future__ import absolute_import, division, print_function

from ...._compat import MYPY
from . import Handler
from .after import AFTER, AfterBytes
from .base import DIRECTION, direction_name

if MYPY:
    from typing import Any

    from ..sockets import Stream

__all__ = ["Reset"]


@Handler.register
class Reset(AfterBytes):
    """Resets the connection on both sides (TCP RST), without a close-notify of TLS.

    What a peer has not read by then its system may throw away; Linux does not.
    """

    name = "reset"
    options = {"after": AFTER, "direction": DIRECTION}

    def strike(self, client_sock, backend_sock, to_backend):
        # type: (Stream, Stream, bool) -> Any
        """Reset both sides, once the receiver's system has what may get through."""
        self.destination(client_sock, backend_sock, to_backend).wait_until_received()
        self.note("reset after %d bytes %s" % (self.option("after"), direction_name(to_backend)))
        self.connection.reset()
        return False
