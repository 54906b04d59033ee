"""The feedback list of the binary protocol.

A row comes of a device that is uninstalled, see the routes of devices; a client that reads the
list takes its rows off.
"""

from typing import List, Optional

from fastapi import APIRouter
from pydantic import BaseModel, Field

from ...simulator.documents import rfc3339
from ..documents import Deleted
from ..parameters import TheSimulator

__all__ = ["router"]

router = APIRouter(tags=["devices"])


class Row(BaseModel):
    """A row."""

    token: str = Field(description="Device token in hexadecimal.")
    since: int = Field(description="When the application was found to be gone, in seconds since "
                                   "1970.")
    since_time: Optional[str] = Field(description="The same as RFC 3339 has it.")


@router.get("/feedback")
def list_feedback(simulator: TheSimulator) -> List[Row]:
    """Return the feedback list, without taking anything off it.

    `PUT /devices/{token}` with `{"state": "uninstalled"}` adds a row.
    """
    return [Row(token=token, since=since, since_time=rfc3339(since))
            for token, since in simulator.devices.feedback]


@router.delete("/feedback")
def clear_feedback(simulator: TheSimulator) -> Deleted:
    """Take all rows off, as a client does that reads the list."""
    rows = simulator.devices.feedback_rows()
    simulator.devices.clear_feedback(rows)
    return Deleted(deleted=len(rows))
