"""What is known of an HTTP/2 connection, whoever uses it: it lives and dies with the connection."""

from __future__ import absolute_import, division, print_function

from collections import deque

from .._compat import MYPY
from ..protocols.http2.client import ClientConnection

if MYPY:
    from typing import Any, Deque, List, Optional, Tuple

    from ..backends import BaseConnection
    from ..protocols.http2.streams import Batch

__all__ = ["ConnectionState"]


class ConnectionState(object):
    """State of one connection.

    :param connection: the :class:`~apnsclient.backends.BaseConnection`.

    :ivar client: the protocol (:class:`~apnsclient.protocols.http2.client.ClientConnection`).
    :ivar batches: batches that were written and are not answered yet, oldest first (deque).
    :ivar used_at: when it was used last, by the connection's clock.
    """

    def __init__(self, connection):
        # type: (BaseConnection) -> None
        credential = connection.certificate  # type: Any
        self._authority = _authority(*connection.address)
        self.client = ClientConnection(self._authority)
        # What gives the connection its provider token, None with a certificate.
        self._bearer = credential.new_bearer() if hasattr(credential, "new_bearer") else None
        self.client.is_cautious = self._bearer is not None
        self.batches = deque()  # type: Deque[Batch]
        self.used_at = connection.clock()

    def header(self, method, path, fields):
        # type: (bytes, bytes, List[Tuple[bytes, bytes]]) -> List[Tuple[bytes, bytes, bool]]
        """Return the header of any request: ``(name, value, is_indexed)`` of its fields.

        :param fields: ``(name, value)`` of those that not every request has (bytes).
        """
        head = [(b":method", method), (b":scheme", b"https"), (b":authority", self._authority),
                (b":path", path)]
        if self.token is not None:
            head.append((b"authorization", self.token))
        return [(name, value, name == b"authorization") for name, value in head + fields]

    @property
    def token(self):
        # type: () -> Optional[bytes]
        """The provider token of the last requests, None with a certificate."""
        authorization = self.client.encoder.authorization  # type: Optional[bytes]
        return authorization

    def refresh_token(self):
        # type: () -> None
        """See that requests from here on carry a provider token that is valid."""
        if self._bearer is not None:
            token = self._bearer.current()
            if token != self.token:
                self.client.encoder.authorization = token

    @property
    def is_refused(self):
        # type: () -> bool
        """True if the provider token was refused that the connection has to keep for a while."""
        return self._bearer is not None and bool(self._bearer.is_refused)

    def refuse_token(self):
        # type: () -> None
        """Note that the server has refused the provider token, if there is one."""
        if self._bearer is not None:
            self._bearer.refuse()


def _authority(host, port):
    # type: (str, int) -> bytes
    """Return what names the server in a request."""
    if ":" in host:
        host = "[%s]" % host
    name = host if port == 443 else "%s:%d" % (host, port)
    return name.encode("ascii" if isinstance(name, bytes) else "idna")
