"""Requests to the simulator: found, read, waited for, deleted."""

import asyncio
import contextlib
import time
from typing import Any, Callable, Dict, List, Optional

from fastapi import APIRouter, Path, Request, Response
from fastapi import Query as QueryParameter
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from typing_extensions import Annotated

from ...simulator import Exchange, Query, Simulator
from ...simulator.journal import Search
from ..documents import Deleted, DocumentResponse, NotEnough, Notification, NotificationList
from ..errors import ApiError
from ..feed import Feed, Waiter
from ..linter import Linter
from ..parameters import Filter, TheFeed, TheLinter, TheReleaser, TheSimulator, read_duration
from ..releaser import Releaser

__all__ = ["router"]

router = APIRouter(prefix="/notifications", tags=["notifications"])

_DocumentOf = Callable[[Exchange], Dict[str, Any]]

#: Type of the number in a path.
_Number = Annotated[int, Path(description="Number of the request.", ge=1, le=2 ** 53)]


class _Selection(Filter):
    limit: int = Field(100, ge=1, le=1000, description="How many at most.")
    before: Optional[int] = Field(
        None, description="Only those that came before the request of this number.")
    after: Optional[int] = Field(
        None, description="Only those that came after the request of this number.")
    full: bool = Field(False, description="Whole documents in place of summaries.")
    wait: Optional[str] = Field(
        None, description="Wait so long until enough match, of those that are kept and those to "
                          "come: `5s`, `500ms`, `1m`; up to 300 seconds.")
    count: int = Field(1, ge=1, le=1000, description="How many are enough, with `wait`.")


@router.get("", response_model=NotificationList, responses={
    408: {"model": NotEnough, "description": "With `wait`: too few have come in time."}})
async def find_notifications(
        request: Request, selection: Annotated[_Selection, QueryParameter()],
        simulator: TheSimulator, feed: TheFeed, linter: TheLinter,
        releaser: TheReleaser) -> Response:
    """Return requests, newest first; or wait until as many as are expected have come."""
    query = selection.query()

    def document_of(exchange: Exchange) -> Dict[str, Any]:
        return (_whole_document(linter, releaser, exchange) if selection.full
                else linter.summary(exchange))

    if selection.wait is None:
        return await run_in_threadpool(_find, simulator, document_of, selection, query)
    if selection.before is not None or selection.after is not None:
        raise ApiError(422, "before and after cannot be combined with wait", "wait")
    waited: Any = await _wait(request, simulator, feed, query or Query(), selection.count,
                              read_duration(selection.wait, "wait"))
    return await run_in_threadpool(_tell, simulator, linter, document_of, waited)


def _find(simulator: Simulator, document_of: _DocumentOf, selection: _Selection,
          query: Optional[Query]) -> Response:
    found: List[Exchange] = simulator.journal.find(
        query, selection.limit + 1, selection.before, selection.after)
    items = found[:selection.limit]
    return DocumentResponse(_list_document(
        simulator, document_of, items, items[-1].number if len(found) > len(items) else None))


def _tell(simulator: Simulator, linter: Linter, document_of: _DocumentOf,
          waited: Any) -> Response:
    """Return the response for somebody who has waited."""
    items: List[Exchange] = list(waited.exchanges)
    if waited.is_enough:
        return DocumentResponse(_list_document(simulator, document_of, items, None, True))
    near: List[Any] = [{"notification": linter.summary(exchange), "mismatches": mismatches}
                       for exchange, mismatches in waited.near_misses]
    return DocumentResponse({"items": [document_of(each) for each in items], "is_enough": False,
                             "near_misses": near}, 408)


async def _wait(request: Request, simulator: Simulator, feed: Feed, query: Query, count: int,
                timeout: float) -> Any:
    """Wait until enough requests match, for so many seconds at most; return :class:`.Wait`.

    It ends when its client has gone: connections are few.
    """
    search = Search(simulator.journal, query, count)
    ends = time.monotonic() + timeout
    waiter = feed.new_waiter()
    leaving = asyncio.ensure_future(_end_when_gone(request, waiter))
    try:
        while not await run_in_threadpool(search.is_enough):
            left = ends - time.monotonic()
            if left <= 0 or not await waiter.wait(left):
                break
        return await run_in_threadpool(search.result)
    finally:
        feed.remove(waiter)
        leaving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await leaving


async def _end_when_gone(request: Request, waiter: Waiter) -> None:
    try:
        while (await request.receive())["type"] != "http.disconnect":
            pass
    finally:
        waiter.end()


def _list_document(simulator: Simulator, document_of: _DocumentOf, items: List[Exchange],
                   next_before: Optional[int], is_enough: Optional[bool] = None) -> Dict[str, Any]:
    journal = simulator.journal
    return {"items": [document_of(each) for each in items], "is_enough": is_enough,
            "last": journal.last_number, "kept": len(journal), "next": next_before}


def _whole_document(linter: Linter, releaser: Optional[Releaser],
                    exchange: Exchange) -> Dict[str, Any]:
    return dict(
        linter.document(exchange),
        release=None if releaser is None else releaser.result_of(exchange),
        releasable=releaser is not None and releaser.is_allowed(exchange))


@router.delete("")
async def delete_notifications(
        selection: Annotated[Filter, QueryParameter()], simulator: TheSimulator,
        feed: TheFeed) -> Deleted:
    """Delete the requests that match; all of them without any condition."""
    found = await run_in_threadpool(simulator.journal.remove, selection.query() or Query())
    if found:
        feed.tell_reset()
    return Deleted(deleted=found)


@router.get("/{number}", response_model=Notification)
async def read_notification(number: _Number, simulator: TheSimulator, linter: TheLinter,
                            releaser: TheReleaser) -> Response:
    """Return everything that is known of a request."""
    exchange = simulator.journal.get(number)
    if exchange is None:
        raise _not_found(number)
    return DocumentResponse(await run_in_threadpool(
        _whole_document, linter, releaser, exchange))


@router.delete("/{number}", status_code=204)
async def delete_notification(number: _Number, simulator: TheSimulator, feed: TheFeed) -> None:
    """Delete a request."""
    if not await run_in_threadpool(simulator.journal.remove_number, number):
        raise _not_found(number)
    feed.tell_reset()


def _not_found(number: int) -> ApiError:
    return ApiError(404, "there is no request %d, or not any more" % number, "number")


