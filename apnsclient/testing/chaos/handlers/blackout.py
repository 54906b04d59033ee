"""The handler ``blackout``: what is sent is taken, and is gone."""

from __future__ import absolute_import, division, print_function

from ...._compat import MYPY
from . import Handler
from .base import DIRECTION, BaseHandler, direction_name

if MYPY:
    from typing import Any, Set

    from ..sockets import Stream

__all__ = ["Blackout"]


@Handler.register
class Blackout(BaseHandler):
    """Takes everything and passes on nothing: neither side ever gets an answer, or an error.

    A peer that ends its side ends the connection: one that is gone cannot be told from one that
    still waits.
    """

    name = "blackout"
    options = {"direction": DIRECTION}

    def __init__(self):
        # type: () -> None
        self._noted = set()  # type: Set[bool]

    def __call__(self, client_sock, backend_sock, to_backend):
        # type: (Stream, Stream, bool) -> Any
        """Read, and drop it."""
        if not self.applies(to_backend):
            return True
        if not self.read(client_sock, backend_sock, to_backend):
            self.connection.reset()
            return False
        if to_backend not in self._noted:
            self._noted.add(to_backend)
            self.note("%s blacked out" % direction_name(to_backend))
        return True
