"""Client certificates, among them some that the simulator refuses."""

from typing import List, Optional

from fastapi import APIRouter
from pydantic import BaseModel, Field
from typing_extensions import Annotated, Literal

from ..errors import ApiError
from ..parameters import Body, TheSimulator

__all__ = ["router"]

router = APIRouter(tags=["server"])

#: X.509 takes so many characters (RFC 5280, appendix A).
_Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[ -~]+$")]


class NewCertificate(Body):
    """What a certificate is to be like."""

    common_name: _Name = Field(
        default="apnsclient simulator client", description="Common name of the subject.")
    topic: Optional[_Name] = Field(
        default=None, description="User identifier of the subject: the topic of a certificate for "
                                  "one kind of push.")
    topics: List[_Name] = Field(
        default=[], max_length=100,
        description="Topics in Apple's extension, of a certificate for several kinds.")
    environments: List[Literal["sandbox", "production"]] = Field(
        default=[], max_length=2, description="Those in Apple's extensions.")
    expired: bool = Field(default=False, description="It expired a day ago, and is refused.")
    foreign: bool = Field(
        default=False, description="Another authority has issued it, and it is refused.")


class Certificate(BaseModel):
    """A certificate that was issued."""

    certificate: str = Field(description="Certificate with its private key (PEM). It is told once.")


@router.post("/certificates", status_code=201)
def issue_certificate(
        simulator: TheSimulator, wanted: Optional[NewCertificate] = None) -> Certificate:
    """Issue a client certificate."""
    wanted = wanted or NewCertificate()
    try:
        return Certificate(certificate=simulator.client_certificate(
            wanted.common_name, wanted.expired, wanted.foreign, topic=wanted.topic,
            topics=wanted.topics, environments=sorted(set(wanted.environments))))
    except ValueError as error:
        raise ApiError(422, str(error)) from None
