"""The handler ``cut-after-frames``: the connection is closed between two frames."""

from __future__ import absolute_import, division, print_function

from ...._compat import MYPY
from .. import settings
from . import Handler
from .base import DIRECTION, BaseHandler, direction_name

if MYPY:
    from typing import Any

    from ..sockets import Stream

__all__ = ["CutAfterFrames"]


@Handler.register
class CutAfterFrames(BaseHandler):
    """Closes the connection, in order, once exactly so many frames have got through one way.

    What a frame is says the protocol of the proxy: ``apns`` or ``http2``, in clear text, or where
    the proxy is one end of TLS. With the protocol ``tcp`` each piece of data that is read is one,
    which depends on how they happen to arrive. With both directions it is the first one to get
    there.
    """

    name = "cut-after-frames"
    options = {
        "count": ("Frames that get through.", settings.count, 1),
        "direction": DIRECTION,
    }

    def __init__(self):
        # type: () -> None
        self._frames = {True: 0, False: 0}

    def on_connect(self, client_sock, backend_sock):
        # type: (Stream, Stream) -> Any
        """Cut at once if nothing is to get through."""
        for to_backend in (True, False):
            if self.applies(to_backend) and not self.option("count"):
                return self._cut(to_backend)
        return True

    def __call__(self, client_sock, backend_sock, to_backend):
        # type: (Stream, Stream, bool) -> Any
        """Pass on what comes, up to the end of the last frame."""
        if not self.applies(to_backend):
            return True
        left = self.option("count") - self._frames[to_backend]
        if left <= 0:
            return self._cut(to_backend)
        data = self.read(client_sock, backend_sock, to_backend)
        ends = self.frame_ends(data, to_backend)
        self._frames[to_backend] += len(ends)
        if len(ends) < left:
            self.write(client_sock, backend_sock, to_backend, data)
            return True
        self.write(client_sock, backend_sock, to_backend, data[:ends[left - 1]])
        self.destination(client_sock, backend_sock, to_backend).wait_until_sent()
        return self._cut(to_backend)

    def _cut(self, to_backend):
        # type: (bool) -> bool
        self.note("cut after %d frames %s" % (self.option("count"), direction_name(to_backend)))
        return False
