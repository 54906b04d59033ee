"""Dead tokens on their way to a feedback store, which may be slow: never in the event loop."""

import asyncio
from typing import Any, List, Optional, Tuple

from .._feedback_buffer import FeedbackBuffer
from ..feedback_store import FeedbackStore

__all__ = ["Feedback"]


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

    def add(self, rows: List[Tuple[bytes, int]]) -> None:
        """Keep dead tokens, and have them stored.

        :param rows: ``(token, timestamp)`` of each, see :class:`~apnsclient.feedback_store`.
        """
        self._buffer.add(self._source, rows)
        if self._saving is None:
            self._saving = self._loop.run_in_executor(None, self._buffer.save)
            self._saving.add_done_callback(self._note_saved)

    def _note_saved(self, saving: "asyncio.Future[Any]") -> None:
        self._saving = None
        if not saving.cancelled():
            saving.exception()  # The buffer has logged it, and still has the rows.

    async def drain(self) -> List[Tuple[bytes, int]]:
        """Remove and return all tokens of the source; see the stores.

        :raises Exception: if the store cannot be read. Then nothing has been removed.
        """
        rows: List[Tuple[bytes, int]] = await self._loop.run_in_executor(
            None, self._buffer.drain, self._source)
        return rows

    async def close(self) -> None:
        """Store what is left."""
        while self._saving is not None:
            await asyncio.wait([self._saving])
        await self._loop.run_in_executor(None, self._buffer.save, True)
