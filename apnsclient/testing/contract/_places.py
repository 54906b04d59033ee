"""Addresses where nobody responds: nobody listens there, or whoever does is silent."""

from __future__ import absolute_import, division, print_function

import errno
import socket

from ..._compat import MYPY
from ._peer import HOST
from ._rule import skip
from ._stage import SHORT

if MYPY:
    from typing import Any, List, Tuple

__all__ = ["silent_host", "unused_address"]


def unused_address():
    # type: () -> Tuple[str, int]
    """Return an address where nobody listens."""
    closed = socket.socket()
    closed.bind(("127.0.0.1", 0))
    port = closed.getsockname()[1]
    closed.close()
    return HOST, port


def silent_host():
    # type: () -> Any
    """Return an address where TCP does not respond, and a function that lets it refuse."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    address = listener.getsockname()
    fillers = []  # type: List[socket.socket]

    def free():
        # type: () -> None
        for one in fillers + [listener]:
            one.close()

    # On Linux a listener whose queue is full does not respond.
    for _ in range(8):
        filler = socket.socket()
        fillers.append(filler)
        filler.setblocking(False)
        filler.connect_ex(address)
    probe = socket.socket()
    fillers.append(probe)
    probe.settimeout(SHORT)
    try:
        probe.connect(address)
    except socket.timeout:
        return (HOST, address[1]), free
    except socket.error as error:
        if error.errno == errno.EAGAIN:
            return (HOST, address[1]), free
    free()
    return skip("no silent host can be had on this system")
