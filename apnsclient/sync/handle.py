"""A lazy handle to an address, which leases a real connection for each call."""

from __future__ import absolute_import, division, print_function

from .._compat import MYPY

if MYPY:
    from typing import Any, Generator, Iterable, Optional, Tuple

    from ..backends import BaseConnection
    from ..message import Message
    from ..result import Result
    from ..transport import Session
    from .shared import Shared

    Address = Tuple[str, int]

__all__ = ["Connection"]


class Connection(object):
    """A lazy handle to one address with one certificate.

    A :class:`~apnsclient.transport.Session` makes it, and it keeps its session alive. It may be
    used by several threads at once, each of which gets a connection of its own, and again after
    anything went wrong.
    """

    #: Name of the protocol that it speaks (str).
    protocol = ""

    def __init__(self, session, shared, address, certificate, is_cached):
        # type: (Session, Shared, Address, Any, bool) -> None
        #: The session that made it.
        self.session = session
        #: Where it leads to: ``(host, port)``.
        self.address = address
        #: The certificate or provider token that it presents.
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

    def _connect(self, is_cached, **options):
        # type: (bool, Any) -> BaseConnection
        """Get a connection from the pool, or a new one."""
        backend = self._shared.backend
        connect = backend.get_cached_connection if is_cached else backend.get_new_connection
        timeout = self._shared.settings.timing.connect_timeout
        return connect(self.address, self.certificate, timeout, **options)

    def __repr__(self):
        # type: () -> str
        return "<Connection to %s:%d over %s: %s>" % (
            self.address + (self.protocol, self._state()))

    def _state(self):
        # type: () -> str
        if not self._is_cached:
            return "not pooled"
        return "%d idle" % self._shared.backend.idle_count(self.address, self.certificate)
