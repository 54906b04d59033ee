"""What the handles of a session share."""

from __future__ import absolute_import, division, print_function

import logging

from .._compat import MYPY
from .._interrupts import is_interrupt
from ..addresses import environment_of
from ..sending.http2 import Http2Driver
from ..sending.refusals import Refusals
from ._feedback_buffer import FeedbackBuffer
from ._lifetime import Closer
from ._notices import WarnOnce
from .gateway import Gateway

if MYPY:
    from typing import Callable, List, Optional, Tuple, Union

    from .._arguments import Timing
    from ..backends import BaseBackend, BaseConnection
    from ..certificate import BaseCertificate
    from ..feedback_store import FeedbackStore
    from ..provider_token import ProviderToken
    from ..result import Result

    Address = Tuple[str, int]
    Credential = Union[BaseCertificate, ProviderToken]

__all__ = ["Shared", "source_of"]

#: The session speaks through these, wherever in the package that is.
_log = logging.getLogger("apnsclient.transport")


class Shared(object):
    """The back-end of a session, who uses it, and what the session was told.

    For the arguments see :class:`~apnsclient.transport.Session`.

    :ivar feedback: keeps dead tokens until the store has them.
    :ivar warn: called with what to warn of in a message (str), which is logged once.
    """

    def __init__(self, backend, timing, ping_after, on_late_result, feedback_store, keep_ids):
        # type: (BaseBackend, Timing, Optional[float], Optional[Callable[[Result], None]], FeedbackStore, bool) -> None  # noqa: E501
        self.feedback = FeedbackBuffer(feedback_store, backend.create_lock, backend.clock)
        self.use(backend)
        self.timing = timing
        self.ping_after = ping_after
        self.keep_ids = keep_ids
        self.warn = WarnOnce(_log)
        self.refusals = Refusals(self.warn)
        self._on_late_result = on_late_result

    def use(self, backend):
        # type: (BaseBackend) -> None
        """Go on with another back-end; what is idle in the pool of the last one is closed."""
        self.backend = backend
        self._closer = Closer(backend, self.feedback)

    def close_idle(self, connections):
        # type: (List[BaseConnection]) -> None
        """Close connections that nobody uses, after what is to be read and said."""
        gateways = []
        try:
            for connection in connections:
                if connection.alpn_protocol is None:
                    # What came in the meantime, or comes at the very end, may be a late frame.
                    gateway = Gateway(connection, self.timing, self.report_late)
                    gateway.prepare()
                    gateways.append(gateway)
                else:
                    Http2Driver(connection, self.timing, self.gone_reporter(
                        connection.address, connection.certificate)).take_leave()
        finally:
            self.backend.close_all(connections)
        for gateway in gateways:
            gateway.read_after_close()

    def gone_reporter(self, address, certificate):
        # type: (Address, Credential) -> Callable[[List[Tuple[bytes, int]]], None]
        """Return what keeps dead tokens for the store of feedback."""
        feedback, source = self.feedback, source_of(address, certificate)
        return lambda rows: feedback.add(source, rows)

    def report_late(self, results):
        # type: (List[Result]) -> None
        """Pass on what became of messages whose results were handed out too early."""
        if self._on_late_result is None:
            _log.warning(
                "an error frame came late: %d tokens of %d messages that counted as delivered were "
                "not; set on_late_result to be told which",
                sum(_count_undelivered(result) for result in results), len(results))
            return
        for result in results:
            try:
                self._on_late_result(result)
            except Exception:
                if is_interrupt():
                    raise
                _log.exception("on_late_result failed for %r", result)


def _count_undelivered(result):
    # type: (Result) -> int
    retry = result.retry()
    return len(result.failed) + (len(retry.tokens) if retry is not None else 0)


def source_of(address, certificate):
    # type: (Address, Credential) -> str
    """Return what the store of feedback knows the environment and the application by."""
    environment = environment_of(address)
    if environment == "other":
        # Each address that is not Apple's is an environment of its own.
        environment = "%s:%d" % address
    return "%s %s" % (environment, certificate.source_name)
