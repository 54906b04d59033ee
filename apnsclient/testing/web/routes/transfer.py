"""Requests as a file of JSON lines: out of one simulator, and into another."""

from typing import Any, AsyncIterator, Dict, Iterator, List

from fastapi import APIRouter, Request, Response
from fastapi import Query as QueryParameter
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
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
#: What each line is.
_OBJECT: "TypeAdapter[Dict[str, Any]]" = TypeAdapter(Dict[str, Any])
#: Longest line in bytes; a request with a payload of 5 KB and all headers takes a tenth of it.
_LONGEST_LINE = 1024 * 1024


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
    documents: List[Dict[str, Any]] = []
    number = 0
    async for line in _read_lines(request):
        number += 1
        if line.strip():
            documents.append(_read_document(line, number))
    try:
        count = await run_in_threadpool(simulator.load, documents)
    except ValueError as error:
        raise ApiError(422, str(error), str(error).partition(":")[0])
    return Imported(imported=count)


def _read_document(line: bytes, number: int) -> Dict[str, Any]:
    try:
        document: Dict[str, Any] = _OBJECT.validate_json(line)
    except ValidationError:
        raise ApiError(422, "line %d is not a JSON object" % number, "line %d" % number)
    return document


async def _read_lines(request: Request) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in request.stream():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line
        if len(rest) > _LONGEST_LINE:
            raise ApiError(413, "a line is longer than %d bytes" % _LONGEST_LINE)
    yield rest
