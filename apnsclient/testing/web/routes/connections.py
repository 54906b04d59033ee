"""Connections to the simulator."""

from typing import List, Optional

from fastapi import APIRouter, Path, Response
from fastapi import Query as QueryParameter
from typing_extensions import Annotated, Literal

from ...simulator.connection_facts import ConnectionFacts
from ...simulator.documents import connection_document
from ..documents import Connection, ConnectionList, DocumentResponse
from ..errors import ApiError
from ..parameters import TheSimulator

__all__ = ["router"]

router = APIRouter(prefix="/connections", tags=["connections"])

_Service = Literal["provider", "channels", "gateway", "feedback"]


@router.get("", response_model=ConnectionList)
async def find_connections(
        simulator: TheSimulator,
        service: Annotated[Optional[_Service], QueryParameter(
            description="The service that they lead to.")] = None,
        is_open: Annotated[Optional[bool], QueryParameter(
            description="Whether they are open still.")] = None,
        limit: Annotated[int, QueryParameter(
            ge=1, le=1000, description="How many at most.")] = 100) -> Response:
    """Return connections, newest first."""
    found: List[ConnectionFacts] = [
        each for each in simulator.journal.connections()
        if service in (None, each.service) and is_open in (None, each.closed is None)]
    return DocumentResponse({"items": [connection_document(each) for each in found[:limit]]})


@router.get("/{number}", response_model=Connection)
async def read_connection(
        number: Annotated[int, Path(description="Its number.", ge=1, le=2 ** 53)],
        simulator: TheSimulator) -> Response:
    """Return everything that is known of a connection."""
    for each in simulator.journal.connections():
        if each.number == number:
            return DocumentResponse(connection_document(each))
    raise ApiError(404, "there is no connection %d, or not any more" % number, "number")
