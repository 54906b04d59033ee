"""Dead tokens on their way to a feedback store, which may be slow: never in the event loop."""

import asyncio
import logging
from typing import Any, List, Optional, Tuple

from .._feedback_buffer import FeedbackBuffer
from ..feedback_store import FeedbackStore

__all__ = ["Feedback"]

_log = logging.getLogger("apnsclient.aio")


class Feedback:
    """Stores the dead tokens of one client, in a thread of the loop's executor.

    :param store: the feedback store.
    :param source: what it knows the application by (str).
    """

    def __init__(self, store: FeedbackStore, source: str) -> None:
        self._buffer = FeedbackBuffer(store)
        self._source = source
        self._loop = asyncio.get_running_loop()
        self._saving: Optional[asyncio.Future[Any]] = None
        # Whether rows have come since they are being stored.
        self._has_more = False

    def add(self, rows: List[Tuple[bytes, int]]) -> None:
        """Keep dead tokens, and have them stored.

        :param rows: ``(token, timestamp)`` of each, see :class:`~apnsclient.feedback_store`.
        """
        self._buffer.add(self._source, rows)
        self._has_more = True
        if self._saving is None:
            self._save()

    def _save(self) -> None:
        self._has_more = False
        try:
            self._saving = self._loop.run_in_executor(None, self._buffer.save)
        except RuntimeError:
            # The loop is ending, and has shut down its executor: nothing is held up any more.
            self._buffer.save(True)
        else:
            self._saving.add_done_callback(self._note_saved)

    def _note_saved(self, saving: "asyncio.Future[Any]") -> None:
        self._saving = None
        if not saving.cancelled():
            saving.exception()  # The buffer has logged it, and still has the rows.
        if self._has_more:
            self._save()

    async def drain(self) -> List[Tuple[bytes, int]]:
        """Remove and return all tokens of the source; see the stores.

        :raises Exception: if the store cannot be read. Then nothing has been removed.
        """
        draining: asyncio.Future[List[Tuple[bytes, int]]] = self._loop.run_in_executor(
            None, self._buffer.drain, self._source)
        try:
            await asyncio.wait([draining])
        except BaseException:
            # The thread goes on, and nobody will have what it brings.
            draining.add_done_callback(self._put_back)
            raise
        return draining.result()

    def _put_back(self, draining: "asyncio.Future[List[Tuple[bytes, int]]]") -> None:
        if not draining.cancelled() and draining.exception() is None and draining.result():
            self.add(draining.result())

    async def close(self, timeout: Optional[float]) -> None:
        """Store what is left.

        :param timeout: most seconds to wait for the store each time (float), or None.
        """
        while self._saving is not None and await self._wait_for(self._saving, timeout):
            pass
        if self._saving is None:
            await self._wait_for(
                self._loop.run_in_executor(None, self._buffer.save, True), timeout)

    async def _wait_for(self, saving: "asyncio.Future[Any]", timeout: Optional[float]) -> bool:
        """Wait for the store; return False if that took too long."""
        done, _ = await asyncio.wait([saving], timeout=timeout)
        if not done:
            _log.warning("the feedback store has not taken the dead tokens within %s s; they may "
                         "be lost", timeout)
        return bool(done)
