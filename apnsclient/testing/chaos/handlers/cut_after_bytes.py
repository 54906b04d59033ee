"""The handler ``cut-after-bytes``: the connection is closed in the middle of the data."""

from __future__ import absolute_import, division, print_function

from ...._compat import MYPY
from .. import settings
from . import Handler
from .after import AfterBytes
from .base import DIRECTION, direction_name

if MYPY:
    from typing import Any

    from ..sockets import Stream

__all__ = ["CutAfterBytes"]


@Handler.register
class CutAfterBytes(AfterBytes):
    """Closes the connection, in order, once exactly so many bytes have got through one way.

    Both sides see the end of the stream. With both directions it is the first one to get there.
    """

    name = "cut-after-bytes"
    options = {
        "count": ("Bytes that get through.", settings.count, 100),
        "direction": DIRECTION,
    }
    limit = "count"

    def strike(self, client_sock, backend_sock, to_backend):
        # type: (Stream, Stream, bool) -> Any
        """Close both sides, once what may get through has left this process."""
        self.destination(client_sock, backend_sock, to_backend).wait_until_sent()
        self.note("cut after %d bytes %s" % (self.option("count"), direction_name(to_backend)))
        return False
