"""Sending, and reading feedback, over the binary protocol."""

from __future__ import absolute_import, division, print_function

from .._compat import MYPY
from ..addresses import RETIRED, retired_name
from ..errors import REMEDIES, ConnectError
from ..sending.binary import BinaryDriver, read_feedback
from ..sending.binary_dispatch import BinaryDispatch
from .handle import Connection

if MYPY:
    from typing import Any, Generator, Iterable, Optional, Tuple

    from ..apns import Message
    from ..backends import BaseConnection
    from ..result import Result

__all__ = ["BinaryConnection"]


class BinaryConnection(Connection):
    """A handle to a gateway or a feedback service of the binary protocol."""

    protocol = "binary"

    def send_many(self, messages):
        # type: (Iterable[Message]) -> Generator[Result, None, None]
        """Send many messages; see :meth:`apnsclient.apns.APNs.send_many`."""
        shared = self._shared
        dispatch = BinaryDispatch(self._lease, self._replace, self._release, shared.timing,
                                  shared.backend.clock)
        return dispatch.results(messages)

    def feedback(self):
        # type: () -> Generator[Tuple[int, bytes], None, None]
        """Read the feedback service over a connection of its own, which is closed at the end."""
        connection = self._connect(False)
        try:
            for row in read_feedback(connection, self._shared.timing):
                yield row
        finally:
            connection.close()

    def _connect(self, is_cached, **options):
        # type: (bool, Any) -> BaseConnection
        try:
            return super(BinaryConnection, self)._connect(is_cached, **options)
        except IOError as error:
            if retired_name(self.address) is not None:
                cause = RETIRED % self.address[0]
                remedy = "another gateway" if self._shared.backend.has_alpn else "another back-end"
                if isinstance(error, ConnectError):
                    error.advise(remedy, cause)
                else:
                    # A back-end's own exception is its own; nobody would look for this behind it.
                    self._shared.warn("%s; %s" % (cause, REMEDIES[remedy]))
            raise

    def _driver(self, is_cached):
        # type: (bool) -> BinaryDriver
        """Return a driver whose connection is ready for use; a stale one is replaced."""
        shared = self._shared
        while True:
            connection = self._connect(is_cached)
            driver = BinaryDriver(connection, shared.timing, shared.report_late)
            if driver.prepare():
                return driver
            connection.close()
            is_cached = is_cached and shared.backend.use_cache_for_reconnects

    def _lease(self):
        # type: () -> BinaryDriver
        return self._driver(self._is_cached)

    def _replace(self):
        # type: () -> Optional[BinaryDriver]
        """Return another driver where the back-end could not have known that one is stale."""
        backend = self._shared.backend
        if backend.can_detect_close:
            return None
        return self._driver(self._is_cached and backend.use_cache_for_reconnects)

    def _release(self, driver):
        # type: (BinaryDriver) -> None
        surplus = driver.connection  # type: Optional[BaseConnection]
        if driver.is_over:
            driver.connection.close()
            return
        if self._is_cached:
            surplus = self._shared.backend.store(driver.connection)
        if surplus is not None:
            self._shared.close_idle([surplus])
