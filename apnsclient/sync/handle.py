"""A lazy handle to an address, which gets real connections for each call."""

from __future__ import absolute_import, division, print_function

from .._compat import MYPY

if MYPY:
    from typing import Any, Generator, Iterable, Optional, Tuple

    from ..message import Message
    from ..result import Result
    from .shared import Shared

    Address = Tuple[str, int]

__all__ = ["Connection"]


class Connection(object):
    """A lazy handle to one address with one certificate.

    A :class:`~apnsclient.transport.Session` creates it, and it keeps its session alive. It may be
    used by several threads at once, and again after a failure.
    """

    #: Name of the protocol that it speaks (str).
    protocol = ""

    def __init__(self, session, shared, address, certificate, is_cached):
        # type: (Any, Shared, Address, Any, bool) -> None
        #: The session that created it.
        self.session = session
        #: The address, ``(host, port)``.
        self.address = address
        #: The certificate or provider token.
        self.certificate = certificate
        self._shared = shared
        self._is_cached = is_cached

    def send(self, message, timeout=None):
        # type: (Message, Optional[float]) -> Result
        """Send one message; see :meth:`apnsclient.apns.APNs.send`."""
        results = self.send_many([message], timeout)
        try:
            return next(results)
        finally:
            results.close()

    def send_many(self, messages, timeout=None):
        # type: (Iterable[Message], Optional[float]) -> Generator[Result, None, None]
        """Send many messages; see :meth:`apnsclient.apns.APNs.send_many`."""
        raise NotImplementedError

    def feedback(self):
        # type: () -> Generator[Tuple[int, bytes], None, None]
        """Read the feedback.

        :return: generator of ``(timestamp, token)``; see :meth:`apnsclient.apns.APNs.feedback`.
        """
        raise NotImplementedError

    def __repr__(self):
        # type: () -> str
        return "<Connection to %s:%d over %s: %s>" % (
            self.address + (self.protocol, self._state()))

    def _state(self):
        # type: () -> str
        if not self._is_cached:
            return "not pooled"
        return "%d idle" % self._shared.backend.idle_count(self.address, self.certificate)
