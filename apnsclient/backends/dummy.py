"""A back-end without a network, for tests, and as an example for authors of back-ends.

It is complete: a certificate, a connection and a factory. In place of the network there is a script
of the gateway's responses. It has to look at what is written, which no other back-end does, to know
which notification a response is to name.
"""

from __future__ import absolute_import, division, print_function

import hashlib
import threading

from .._compat import MYPY
from ..certificate import BaseCertificate
from ..errors import ConnectionLost, Timeout
from ..protocols.binary import NotificationParser, encode_error
from ..protocols.feedback import encode_feedback
from . import BaseBackend, BaseConnection

if MYPY:
    from typing import Any, List, Mapping, Optional, Sequence, Tuple

    Address = Tuple[str, int]

__all__ = ["Backend", "Certificate", "Connection"]

#: When the tokens of the feedback service became invalid, in seconds since 1970: an hour apart.
_FEEDBACK_START = 1400000000
_FEEDBACK_STEP = 3600


class Certificate(BaseCertificate):
    """A certificate that can only be compared with others.

    Any text does. A file is not opened: its name stands for its content. Where both are given, the
    file is used.
    """

    def load_context(self, cert_string=None, cert_file=None, key_string=None, key_file=None,
                     passphrase=None):
        # type: (Any, Any, Any, Any, Any) -> Tuple[None, bytes]
        """Return ``(None, what identifies the certificate)``."""
        raw = cert_file or cert_string or b""
        return None, raw if isinstance(raw, bytes) else raw.encode("utf-8")

    def dump_certificate(self, raw):
        # type: (bytes) -> bytes
        """Return the text as bytes."""
        return raw

    def dump_digest(self, raw, digest):
        # type: (bytes, str) -> bytes
        """Return the digest of the text."""
        return hashlib.new(digest, raw).digest()


class Connection(BaseConnection):
    """A connection to nowhere.

    :param backend: the :class:`Backend` that has the script.
    """

    def __init__(self, address, certificate, backend):
        # type: (Address, BaseCertificate, Backend) -> None
        super(Connection, self).__init__(address, certificate)
        self._backend = backend
        self._is_closed = False
        #: What the peer has sent and nobody has read yet.
        self._input = b""
        #: Whether the peer sends nothing more, and hangs up.
        self._is_ended = False
        if backend.feedback is not None:
            self._input = _feedback_rows(backend.feedback)
            self._is_ended = True

    def reset(self):
        # type: () -> None
        """Forget what was not read."""
        self._input = b""

    def peek(self, size):
        # type: (int) -> Optional[bytes]
        """Return what the script has sent; never waits."""
        data, self._input = self._input[:size], self._input[size:]
        return data if data or self._is_ended else None

    def read(self, size, timeout):
        # type: (int, Optional[float]) -> Optional[bytes]
        """Return what the script has sent.

        :raises ~apnsclient.errors.Timeout: at once, where the script is silent.
        """
        data = self.peek(size)
        if data is None:
            raise Timeout("the script is silent")
        return data or None

    def write(self, data, timeout):
        # type: (bytes, Optional[float]) -> None
        """Pass the data to the script, unless it has hung up already."""
        if self._is_closed:
            raise ConnectionLost("the connection is closed")
        if self._is_ended:
            return
        status = self._backend.current_push_result()
        if status is not None:
            notifications = NotificationParser().feed(data)
            self._input += encode_error(status, notifications[0].identifier)
            self._is_ended = True

    def close(self):
        # type: () -> None
        """Close the connection."""
        self._is_closed = True

    def closed(self):
        # type: () -> bool
        """Return True if this side has closed, or the script has hung up and all was read."""
        return self._is_closed or (self._is_ended and not self._input)


class Backend(BaseBackend):
    """Makes connections that respond by a script. Exactly one of the two scripts is to be given.

    :param push: the gateway's response over the first, second, ... new connection (sequence). None
        means that it stays silent, which is success; a status code (int, 0 to 255), that it refuses
        the first token of the message that is written. Further connections stay silent.
    :param feedback: how many rows the feedback service has, over each connection (int).
    :param options: those of :class:`~apnsclient.backends.BaseBackend`.
    :raises ValueError: if not exactly one of the two is given.

    :ivar new_connections: how many connections were opened.
    :ivar push_result_pos: index of the entry of ``push`` that is in force. It moves with each new
        connection. A test may set it; pooled connections respond by it as well.
    """

    can_detect_close = True

    def __init__(self, push=None, feedback=None, **options):
        # type: (Optional[Sequence[Optional[int]]], Optional[int], Any) -> None
        if (push is None) == (feedback is None):
            raise ValueError("exactly one of push and feedback is needed")
        super(Backend, self).__init__(**options)
        self.push = push
        self.feedback = feedback
        self.new_connections = 0
        self.push_result_pos = -1
        self._counting = threading.Lock()

    def get_certificate(self, cert_params):
        # type: (Mapping[str, Any]) -> Certificate
        """Return a certificate that compares by its text."""
        return Certificate(**cert_params)

    def create_lock(self):
        # type: () -> Any
        """Return a lock of the ``threading`` module."""
        return threading.RLock()

    # As has_alpn is False, the argument ``alpn`` is never given.
    def get_new_connection(self, address, certificate, timeout=None):  # type: ignore[override]
        # type: (Address, BaseCertificate, Optional[float]) -> Connection
        """Return a connection, and move on to the next entry of the script."""
        with self._counting:
            self.new_connections += 1
            self.push_result_pos += 1
        return Connection(address, certificate, self)

    def current_push_result(self):
        # type: () -> Optional[int]
        """Return the entry of ``push`` that is in force; None where there is none."""
        if self.push is None or not 0 <= self.push_result_pos < len(self.push):
            return None
        return self.push[self.push_result_pos]


def _feedback_rows(count):
    # type: (int) -> bytes
    """Return the stream of a feedback service with that many rows."""
    rows = []  # type: List[bytes]
    for index in range(count):
        token = hashlib.sha256(str(index).encode("ascii")).digest()
        rows.append(encode_feedback(_FEEDBACK_START + index * _FEEDBACK_STEP, token))
    return b"".join(rows)
