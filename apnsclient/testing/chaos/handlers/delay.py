"""The handler ``delay``: everything arrives, but later."""

from __future__ import absolute_import, division, print_function

from ...._compat import MYPY
from .. import settings
from . import Handler
from .base import DIRECTION, BaseHandler, direction_name

if MYPY:
    from typing import Any, Set

    from ..sockets import Stream

__all__ = ["Delay"]


@Handler.register
class Delay(BaseHandler):
    """Holds up each piece that comes for some time; a piece has 64 KiB at most.

    The end of a stream is held up as well. The two directions do not wait for one another.
    """

    name = "delay"
    options = {
        "sleep": ("Seconds by which each piece of data is late.", settings.seconds, 1.0),
        "direction": DIRECTION,
    }

    def __init__(self):
        # type: () -> None
        self._late = set()  # type: Set[bool]

    def __call__(self, client_sock, backend_sock, to_backend):
        # type: (Stream, Stream, bool) -> Any
        """Pause the direction first, and pass on the second time."""
        if not self.applies(to_backend) or to_backend in self._late:
            self._late.discard(to_backend)
            self.forward(client_sock, backend_sock, to_backend)
        else:
            self._late.add(to_backend)
            self.note("%s delayed by %g s" % (direction_name(to_backend), self.option("sleep")))
            self.pause(to_backend, self.option("sleep"))
        return True
