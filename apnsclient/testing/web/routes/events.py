"""What happens, as it happens: server-sent events (WHATWG, HTML, section 9.2)."""

import asyncio
import time
from typing import AsyncIterator, List, Optional

from fastapi import APIRouter, Header, Response
from fastapi import Query as QueryParameter
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send
from typing_extensions import Annotated

from ...simulator.documents import connection_document
from ..documents import encode
from ..errors import ApiError, ErrorDocument
from ..feed import INTERVAL, Feed, Reader
from ..linter import Linter
from ..parameters import TheFeed, TheLinter

__all__ = ["router"]

router = APIRouter(tags=["notifications"])

#: Requests in one message.
_MOST_ITEMS = 100
#: Seconds of silence after which there is a comment: somebody who has gone is found out by it.
_KEEP_ALIVE = 15.0
#: Readers at a time.
_MOST_READERS = 100


@router.get("/events", response_class=StreamingResponse, responses={
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}}},
          "description": "Events `notifications`, `connections` and `reset`."},
    503: {"model": ErrorDocument, "description": "There are too many readers."}})
async def read_events(
        linter: TheLinter, feed: TheFeed,
        last_event_id: Annotated[Optional[str], Header(
            description="The last `id` that was received, to go on from there.")] = None,
        after: Annotated[Optional[int], QueryParameter(
            ge=0, le=2 ** 53, description="The same, for clients that cannot set a header.")] = None
        ) -> Response:
    """Tell what happens from now on, or from a number on.

    At most ten messages a second: of more than 100 requests at a time only the last are told of,
    and how many were skipped.
    """
    number = after
    if last_event_id and last_event_id.isdecimal() and len(last_event_id) < 16:
        number = int(last_event_id)
    if feed.reader_count >= _MOST_READERS:
        raise ApiError(503, "there are %d readers of events already" % _MOST_READERS)
    return _Stream(linter, feed, feed.new_reader(number))


class _Stream(StreamingResponse):
    """The messages for a reader, who is forgotten however it ends."""

    media_type = "text/event-stream"

    def __init__(self, linter: Linter, feed: Feed, reader: Reader) -> None:
        super().__init__(_messages(linter, reader))
        self._feed, self._reader = feed, reader

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._feed.remove(self._reader)


async def _messages(linter: Linter, reader: Reader) -> AsyncIterator[str]:
    # The head, and something for readers that wait for the first bytes.
    yield "retry: 1000\n\n"
    comment_at = time.monotonic() + _KEEP_ALIVE
    while await reader.wait(comment_at - time.monotonic()):
        # Elsewhere: lint reads each of them, and may have much to catch up with.
        text = "".join(await run_in_threadpool(_news, linter, reader))
        if text:
            yield text
            await asyncio.sleep(INTERVAL)
        elif time.monotonic() >= comment_at:
            yield ": nothing new\n\n"
        else:
            continue
        comment_at = time.monotonic() + _KEEP_ALIVE


def _news(linter: Linter, reader: Reader) -> List[str]:
    """Return the messages about what is new."""
    messages: List[str] = []
    if reader.was_reset:
        reader.was_reset = False
        messages.append(_message("reset", "{}"))
    items, skipped = reader.take_exchanges(_MOST_ITEMS)
    if items or skipped:
        messages.append("id: %d\n" % reader.last + _message("notifications", encode({
            "items": [linter.summary(each) for each in items],
            "skipped": skipped, "last": reader.last, "kept": reader.kept})))
    connections = reader.take_connections()
    if connections:
        messages.append(_message("connections", encode({
            "items": [connection_document(each) for each in connections[-_MOST_ITEMS:]],
            "skipped": max(0, len(connections) - _MOST_ITEMS)})))
    return messages


def _message(event: str, data: str) -> str:
    return "event: %s\ndata: %s\n\n" % (event, data)
