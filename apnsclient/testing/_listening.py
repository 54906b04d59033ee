"""Sockets that listen, and those that they accept, for the simulator and the chaos proxy."""

from __future__ import absolute_import, division, print_function

import errno
import socket

from .._compat import MYPY, PY2

if MYPY:
    from typing import Any, Optional, Tuple

__all__ = ["OUT_OF_DESCRIPTORS", "accept", "listen"]

#: Errors after which a connection can be accepted later.
OUT_OF_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
#: Connections that wait to be accepted, as far as the system allows.
_BACKLOG = 2048


def listen(address, receive_buffer=None):
    # type: (Tuple[str, int], Optional[int]) -> socket.socket
    """Return a non-blocking socket that listens.

    :param address: ``(host, port)``; port 0 takes a free one.
    :param receive_buffer: size in bytes of the system's buffer for what comes over each connection;
        None leaves it to the system.
    :raises socket.error: if it cannot listen there.
    """
    # IPv4 where there is a choice: that is where those go who do not look names up.
    family, kind, protocol, _, resolved = min(
        socket.getaddrinfo(address[0], address[1], 0, socket.SOCK_STREAM, 0, socket.AI_PASSIVE),
        key=lambda found: found[0] != socket.AF_INET)
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if receive_buffer is not None:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        _keep_from_children(listening)
        listening.setblocking(False)
        listening.bind(resolved)
        listening.listen(_BACKLOG)
    except BaseException:
        listening.close()
        raise
    return listening


def accept(listening):
    # type: (socket.socket) -> Tuple[socket.socket, Any]
    """Return the next connection, non-blocking and without Nagle's algorithm, and its peer.

    :raises socket.error: if there is none, or the process is :data:`OUT_OF_DESCRIPTORS`.
    """
    accepted, peer = listening.accept()
    try:
        accepted.setblocking(False)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _keep_from_children(accepted)
    except BaseException:
        accepted.close()
        raise
    return accepted, peer


def _keep_from_children(made):
    # type: (socket.socket) -> None
    """Have programs that are started not inherit a socket, which Python 3 sees to by itself."""
    if PY2:
        import fcntl

        flags = fcntl.fcntl(made.fileno(), fcntl.F_GETFD)
        fcntl.fcntl(made.fileno(), fcntl.F_SETFD, flags | fcntl.FD_CLOEXEC)
