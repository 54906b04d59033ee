"""Requests as a file of JSON lines: out of one simulator, and into another."""

import json
import tempfile
from typing import IO, Any, Dict, Iterator, List

from fastapi import APIRouter, Request, Response
from fastapi import Query as QueryParameter
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse
from typing_extensions import Annotated

from ...simulator import Exchange
from ...simulator.documents import exchange_document
from ..documents import encode
from ..errors import ApiError
from ..parameters import Filter, TheSimulator

__all__ = ["router"]

router = APIRouter(tags=["notifications"])

_TYPE = "application/x-ndjson"
#: How many are encoded at a time.
_CHUNK = 200
#: Longest line in bytes; a request with a payload of 5 KB and all headers takes a tenth of it.
_LONGEST_LINE = 1024 * 1024
#: Bytes of an import that are in memory before they are read; the rest is on disk.
_IN_MEMORY = 16 * 1024 * 1024


class Imported(BaseModel):
    """What has been imported."""

    imported: int = Field(description="How many requests.")


@router.get("/export", response_class=StreamingResponse, responses={200: {
    "content": {_TYPE: {"schema": {"type": "string"}}},
    "description": "`Notification` of each, oldest first, one a line."}})
async def export_notifications(
        selection: Annotated[Filter, QueryParameter()], simulator: TheSimulator) -> Response:
    """Return requests in full, as JSON lines."""
    found = await run_in_threadpool(simulator.journal.find, selection.query())
    return StreamingResponse(
        _lines(found[::-1]), media_type=_TYPE,
        headers={"Content-Disposition": 'attachment; filename="apns-simulator.jsonl"'})


def _lines(exchanges: List[Exchange]) -> Iterator[str]:
    for begin in range(0, len(exchanges), _CHUNK):
        yield "".join(encode(exchange_document(each)) + "\n"
                      for each in exchanges[begin:begin + _CHUNK])


@router.post("/import", openapi_extra={"requestBody": {
    "description": "What `/export` returned.", "required": True,
    "content": {_TYPE: {"schema": {"type": "string"}}}}})
async def import_notifications(request: Request, simulator: TheSimulator) -> Imported:
    """Add requests that were exported. They get new numbers; nothing is added if one is wrong."""
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as body:
        await _receive(request, body)
        body.seek(0)
        lines = _Lines(body)
        try:
            count = await run_in_threadpool(simulator.load, lines)
        except ValueError as error:
            field = None if isinstance(error, _NoObject) else str(error).partition(":")[0]
            raise ApiError(422, "line %d: %s" % (lines.number, error), field) from None
    return Imported(imported=count)


async def _receive(request: Request, body: IO[bytes]) -> None:
    """Write the body of a request to a file, unless one of its lines is too long."""
    size = 0
    async for chunk in request.stream():
        end = chunk.rfind(b"\n")
        size = size + len(chunk) if end < 0 else len(chunk) - end - 1
        if size > _LONGEST_LINE:
            raise ApiError(413, "a line is longer than %d bytes" % _LONGEST_LINE)
        body.write(chunk)


class _NoObject(ValueError):
    """A line that is not a JSON object."""


class _Lines:
    """The documents in a file, one a line.

    :param file: the file.

    :ivar number: number of the line that was read last.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.number = 0

    def __iter__(self) -> Iterator[Dict[str, Any]]:
        for line in self._file:
            self.number += 1
            if not line.strip():
                continue
            try:
                # Half a character, as payloads may have it, is nothing to pydantic's parser.
                document = json.loads(line.decode("utf-8"))
            except (ValueError, RecursionError):
                document = None
            if not isinstance(document, dict):
                raise _NoObject("it is not a JSON object")
            yield document
