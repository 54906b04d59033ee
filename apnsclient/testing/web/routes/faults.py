"""Faults that happen at once, or until they are taken back."""

from typing import Optional

from fastapi import APIRouter
from pydantic import BaseModel, Field
from typing_extensions import Literal

from ..parameters import Body, TheSimulator, running

__all__ = ["router"]

router = APIRouter(tags=["faults"])

#: The largest limit of streams, and the longest delay in seconds.
_MOST_STREAMS, _LONGEST_DELAY = (1 << 31) - 1, 86400.0


class Faults(BaseModel):
    """What is in force now."""

    delay: float = Field(description="Seconds by which each response is late.")
    stream_limit: Optional[int] = Field(
        description="Limit of streams on all connections; null if it is as usual.")
    refuses_connections: bool = Field(description="Whether new connections are reset.")
    held: int = Field(description="Responses and error frames that are held back.")


class Affected(BaseModel):
    """How many it concerned."""

    connections: int = Field(description="Connections on which it happened.")


class Released(BaseModel):
    """How many were sent."""

    responses: int


class Goaway(Body):
    """What GOAWAY says."""

    reason: Optional[str] = Field(default=None, max_length=200, description="Such as `Shutdown`.")
    timestamp: Optional[int] = Field(
        default=None, ge=0, le=(1 << 63) - 1, description="Milliseconds since 1970.")


class HangUp(Body):
    """Which connections end, and how."""

    service: Literal["provider", "gateway"] = "provider"
    reset: bool = Field(
        default=False, description="Resets the TCP connections; else they end in an "
                                           "orderly manner, without GOAWAY.")


class StreamLimit(Body):
    """A limit of streams."""

    limit: Optional[int] = Field(
        description="Streams at a time; null takes it back.", ge=0, le=_MOST_STREAMS)


class Slowness(Body):
    """How slow responses are."""

    seconds: float = Field(ge=0, le=_LONGEST_DELAY, description="0 takes it back.")


class Refusal(Body):
    """Whether new connections are reset."""

    refuse: bool = True


@router.get("/faults")
def read_faults(simulator: TheSimulator) -> Faults:
    """Return what is in force now."""
    faults = simulator.faults
    return Faults(delay=faults.delay, stream_limit=faults.most_streams,
                  refuses_connections=faults.refuses_connections, held=simulator.held)


@router.delete("/faults")
def clear_faults(simulator: TheSimulator) -> Faults:
    """Take back all faults, and drop all scripts."""
    with running(simulator):
        simulator.faults.clear()
    return read_faults(simulator)


@router.post("/faults/goaway")
def send_goaway(simulator: TheSimulator, wanted: Optional[Goaway] = None) -> Affected:
    """Send GOAWAY on all connections to the provider API, and close them."""
    wanted = wanted or Goaway()
    with running(simulator):
        return Affected(connections=simulator.goaway_all(wanted.reason, wanted.timestamp))


@router.post("/faults/hang-up")
def hang_up(simulator: TheSimulator, wanted: Optional[HangUp] = None) -> Affected:
    """Close all connections to a service."""
    wanted = wanted or HangUp()
    with running(simulator):
        if wanted.service == "gateway":
            return Affected(connections=simulator.disconnect_all(wanted.reset))
        return Affected(connections=simulator.disconnect_providers(wanted.reset))


@router.post("/faults/limit-streams")
def limit_streams(simulator: TheSimulator, wanted: StreamLimit) -> Affected:
    """Limit the streams of all connections to the provider API, open and to come."""
    with running(simulator):
        return Affected(connections=simulator.faults.limit_streams(wanted.limit))


@router.post("/faults/slow")
def slow_down(simulator: TheSimulator, wanted: Slowness) -> Faults:
    """Have each response of the provider API be late."""
    simulator.faults.slow_down(wanted.seconds)
    return read_faults(simulator)


@router.post("/faults/refuse")
def refuse_connections(simulator: TheSimulator, wanted: Optional[Refusal] = None) -> Faults:
    """Reset new connections before the handshake, or no longer."""
    simulator.faults.refuses_connections = wanted is None or wanted.refuse
    return read_faults(simulator)


@router.post("/faults/release-held")
def release_held(simulator: TheSimulator) -> Released:
    """Send the responses and error frames that are held back."""
    with running(simulator):
        return Released(responses=simulator.release_held())
