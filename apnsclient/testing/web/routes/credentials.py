"""What a client of the simulator needs: addresses, whom to trust, and as whom to come."""

from typing import Dict, Optional

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field
from starlette.responses import PlainTextResponse

from ..parameters import TheAddressFormat, TheSimulator

__all__ = ["plain_router", "router"]

router = APIRouter(tags=["server"])
plain_router = APIRouter(tags=["server"])

_SERVICES = ("gateway", "feedback", "provider", "channels")


class Credentials(BaseModel):
    """What to connect with."""

    addresses: Dict[str, Optional[str]] = Field(
        description="`host:port` of the services gateway, feedback, provider and channels; null "
                    "where it is not served.")
    ca: str = Field(description="Certificate of the authority (PEM): what a client must trust.")
    certificate: str = Field(description="Client certificate with its key (PEM).")
    key: str = Field(description="Key for provider tokens, as in Apple's .p8 files (PEM).")
    key_id: str = Field(description="Identifier of that key.")
    team_id: str = Field(description="Identifier of its team.")


@router.get("/credentials")
async def read_credentials(
        simulator: TheSimulator, format_address: TheAddressFormat) -> Credentials:
    """Return addresses of the services, and credentials that they accept.

    Where the simulator listens at each address of the machine, its host is the one that the request
    came to.
    """
    addresses: Dict[str, Optional[str]] = {}
    for name in _SERVICES:
        try:
            addresses[name] = format_address(getattr(simulator, name + "_address"))
        except ImportError:
            addresses[name] = None
    return Credentials(
        addresses=addresses, ca=simulator.ca_string, certificate=simulator.cert_string,
        key=simulator.key_string, key_id=simulator.key_id, team_id=simulator.team_id)


@plain_router.get("/ca.pem", response_class=PlainTextResponse, responses={200: {
    "content": {"application/x-pem-file": {"schema": {"type": "string"}}},
    "description": "The certificate."}})
async def read_authority(simulator: TheSimulator) -> Response:
    """Return the certificate of the authority: what a client must trust."""
    return Response(simulator.ca_string, media_type="application/x-pem-file")
