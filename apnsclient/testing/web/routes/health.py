"""Whether the server is there."""

from fastapi import APIRouter
from pydantic import BaseModel, Field
from typing_extensions import Literal

from .... import __version__
from ..parameters import TheSimulator

__all__ = ["router"]

router = APIRouter(tags=["server"])


class Health(BaseModel):
    """What a health check reads; it needs no password."""

    status: Literal["ok", "stopped"] = Field(
        description="`stopped` if the simulator does not serve clients of APNs.")
    version: str = Field(description="Version of apns-client.")


@router.get("/health")
async def read_health(simulator: TheSimulator) -> Health:
    """Return whether the simulator runs."""
    return Health(status="ok" if simulator.is_running else "stopped", version=__version__)
