"""Sending, and what the answers told of dead tokens, over the HTTP/2 provider API."""

from __future__ import absolute_import, division, print_function

from functools import partial

from .._compat import MYPY
from ..errors import ConnectError, ConnectionLost, ConnectTimeout
from ..protocols.http2.headers import load_hpack
from ..provider_token import ProviderToken
from ..sending.http2 import Http2Driver
from ..sending.http2_dispatch import Http2Dispatch
from .handle import Connection
from .shared import source_of

if MYPY:
    from typing import Any, Generator, Iterable, Sequence, Tuple

    from ..apns import Message
    from ..backends._pool import Slot
    from ..protocols.http2.events import Response
    from ..result import Result

__all__ = ["Http2Connection"]

#: What HTTP/2 is called in ALPN (RFC 7301).
_ALPN = ("h2",)


class Http2Connection(Connection):
    """A handle to a host of Apple's HTTP/2 provider API."""

    protocol = "http2"

    def send_many(self, messages):
        # type: (Iterable[Message]) -> Generator[Result, None, None]
        """Send many messages; see :meth:`apnsclient.apns.APNs.send_many`."""
        is_token, shared = isinstance(self.certificate, ProviderToken), self._shared
        dispatch = Http2Dispatch(self._lease, self._release,
                                 self.certificate.renew if is_token else None,
                                 self.certificate.default_topic, shared.feedback.save,
                                 shared.backend.clock, shared.warn,
                                 partial(shared.refusals.hint, self._key))
        return dispatch.results(messages)

    def feedback(self):
        # type: () -> Generator[Tuple[int, bytes], None, None]
        """Read what the session's store of feedback has for this environment and application.

        Rows that the caller does not come to are put back.
        """
        feedback = self._shared.feedback
        source = source_of(self.address, self.certificate)
        rows = feedback.drain(source)
        done = 0
        try:
            for token, timestamp in rows:
                done += 1
                yield timestamp, token
        finally:
            if done < len(rows):
                feedback.add(source, rows[done:])
                feedback.save()

    def ask(self, method, path, fields=(), body=b""):
        # type: (bytes, bytes, Sequence[Tuple[bytes, bytes]], bytes) -> Response
        """Send any other request, and wait for the response: for the management of channels.

        Where another connection may get another answer, it is tried once, with a new provider
        token if the old one has expired.

        :param method: like ``b"GET"``.
        :param path: path of the request (bytes).
        :param fields: ``(name, value)`` pairs of its header (bytes).
        :param body: its body (bytes).
        :return: the :class:`~apnsclient.protocols.http2.events.Response`, whatever its status.
        :raises ~apnsclient.errors.ConnectionLost: if there was none.
        :raises ValueError: if the server does not take a header as long as that.
        :raises Exception: whatever the back-end raises when it cannot connect.
        """
        is_new = False
        while True:
            driver = self._lease(is_new)
            try:
                question = driver.ask(method, path, list(fields), body)
                response = question.response
                if response is None:
                    raise ConnectionLost("no answer from %s:%d: %s"
                                         % (self.address + (question.problem,)))
                driver.leave_reason = reason = question.leave_reason
                if reason is None or is_new:
                    return response
                is_new = True
                if reason.is_expired_token and driver.token is not None:
                    # Other connections keep the token that they have.
                    self.certificate.renew(driver.token)
            finally:
                self._release(driver)

    @property
    def _key(self):
        # type: () -> Any
        return self.address, self.certificate

    def _lease(self, is_new):
        # type: (bool) -> Http2Driver
        """Wait for one's turn; then return a driver whose connection is ready for use.

        :param is_new: whether it has to be a new connection.
        """
        shared = self._shared
        limit = shared.backend.pool_size or None if self._is_cached else None
        timeout = shared.timing.connect_timeout
        slot = shared.backend.acquire_slot(self.address, self.certificate, _ALPN, limit, timeout,
                                           is_new or not self._is_cached)
        if slot is None:
            raise ConnectTimeout(
                "all %s connections to %s:%d were in use for %s s: set pool_size or "
                "connect_timeout higher, or send more with each call"
                % ((limit,) + self.address + (timeout,)))
        try:
            if slot.surplus:
                shared.close_idle(slot.surplus)
            driver = self._driver(slot, self._is_cached and not is_new)
        except BaseException:
            slot.release()
            raise
        driver.turn = slot
        return driver

    def _driver(self, slot, is_cached):
        # type: (Slot, bool) -> Http2Driver
        shared = self._shared
        backend = shared.backend
        # Where a dead connection looks like a living one, only an answer tells.
        ping_after = shared.ping_after if backend.can_detect_close else 0.0
        load_hpack()
        while True:
            connection, slot.connection = slot.connection, None
            if connection is not None and connection.closed():
                connection.close()
                connection = None
            if connection is None:
                connection = self._connect(is_cached, alpn=_ALPN)
            try:
                if connection.alpn_protocol not in _ALPN:
                    raise ConnectError(
                        "%s:%d does not speak HTTP/2: it did not agree to the protocol \"h2\" with "
                        "ALPN" % self.address, "binary")
                driver = Http2Driver(connection, shared.timing, shared.gone_reporter(
                    self.address, self.certificate), shared.keep_ids)
                if driver.prepare(ping_after):
                    return driver
            except BaseException:
                connection.close()
                raise
            driver.close()
            # Where one is dead without a word the others will be, too, and each takes its time.
            is_cached = is_cached and backend.use_cache_for_reconnects and not driver.is_silent

    def _release(self, driver):
        # type: (Http2Driver) -> None
        shared = self._shared
        connection = None
        try:
            if driver.rest() and self._is_cached:
                connection = driver.connection
            else:
                driver.close()
        finally:
            surplus = driver.turn.release(connection)
        if surplus:
            shared.close_idle(surplus)

    def _state(self):
        # type: () -> str
        state = super(Http2Connection, self)._state()
        if self._is_cached:
            backend = self._shared.backend
            state += ", %d in use, %d callers waiting" % (
                backend.in_use_count(*self._key), backend.waiting_count(*self._key))
        return state
