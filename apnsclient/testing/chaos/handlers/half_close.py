"""The handler ``half-close``: one direction ends, the other one goes on."""

from __future__ import absolute_import, division, print_function

from ...._compat import MYPY
from . import Handler
from .after import AFTER, AfterBytes
from .base import direction_name

if MYPY:
    from typing import Any

    from ..sockets import Stream

__all__ = ["HalfClose"]


def _one_direction(value):
    # type: (Any) -> str
    if value not in ("to_backend", "to_client"):
        raise ValueError("expected to_backend or to_client")
    return str(value)


@Handler.register
class HalfClose(AfterBytes):
    """Ends one direction as its sender would by ``shutdown(SHUT_WR)``.

    The receiver sees the end of the stream. What the sender writes after that is taken and dropped.
    """

    name = "half-close"
    options = {
        "after": ("Bytes that get through first in that direction.",) + AFTER[1:],
        "direction": ("Which way ends: to_backend or to_client.", _one_direction, "to_client"),
    }

    def strike(self, client_sock, backend_sock, to_backend):
        # type: (Stream, Stream, bool) -> Any
        """End the direction the first time, and drop what comes later."""
        destination = self.destination(client_sock, backend_sock, to_backend)
        if destination.is_shut:
            self.read(client_sock, backend_sock, to_backend)
        else:
            self.note("%s ended after %d bytes" % (
                direction_name(to_backend), self.option("after")))
            self.write(client_sock, backend_sock, to_backend, b"")
        return True
