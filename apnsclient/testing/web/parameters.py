"""What the functions behind the paths are given: FastAPI calls these for each request."""

import contextlib
import datetime
import re
from typing import Any, Callable, Dict, Generator, Optional, Tuple

from fastapi import Depends, Request
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import Annotated, Literal

from ..simulator import Query, Simulator
from ..simulator.configuration import EVERYWHERE
from .chaos_proxies import ChaosProxies
from .errors import ApiError
from .feed import Feed
from .linter import Linter
from .releaser import Releaser

__all__ = ["AddressFormat", "Body", "Filter", "LONGEST_WAIT", "TheAddressFormat", "TheChaos",
           "TheFeed", "TheLinter", "TheReleaser", "TheSimulator", "read_duration", "running"]

#: Longest time in seconds that a request may wait.
LONGEST_WAIT = 300.0

#: Returns ``(host, port)`` as ``host:port``.
AddressFormat = Callable[[Tuple[str, int]], str]

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|)")
_UNITS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0}


async def _simulator_of(request: Request) -> Simulator:
    # A function that is not async would run in a thread of its own.
    simulator: Simulator = request.app.state.simulator
    return simulator


async def _feed_of(request: Request) -> Feed:
    feed: Feed = request.app.state.feed
    return feed


async def _linter_of(request: Request) -> Linter:
    linter: Linter = request.app.state.linter
    return linter


async def _chaos_of(request: Request) -> ChaosProxies:
    chaos: ChaosProxies = request.app.state.chaos
    return chaos


async def _releaser_of(request: Request) -> Optional[Releaser]:
    releaser: Optional[Releaser] = request.app.state.releaser
    return releaser


async def _address_format_of(request: Request) -> AddressFormat:
    simulator: Simulator = request.app.state.simulator
    asked = request.url.hostname if simulator.host in EVERYWHERE else None

    def format_address(address: Tuple[str, int]) -> str:
        host = asked or address[0]
        return ("[%s]:%d" if ":" in host else "%s:%d") % (host, address[1])

    return format_address


#: Type of a parameter that is to be the simulator.
TheSimulator = Annotated[Simulator, Depends(_simulator_of)]
#: Type of one that is to be the feed of news.
TheFeed = Annotated[Feed, Depends(_feed_of)]
#: Type of one that is to be what makes whole documents.
TheLinter = Annotated[Linter, Depends(_linter_of)]
#: Type of one that is to be the chaos proxies.
TheChaos = Annotated[ChaosProxies, Depends(_chaos_of)]
#: Type of one that is to write addresses as whoever asks reaches them: where the simulator listens
#: at each address of the machine, at the host that the request came to.
TheAddressFormat = Annotated[AddressFormat, Depends(_address_format_of)]
#: Type of one that is to be what sends notifications on; None if nothing does.
TheReleaser = Annotated[Optional[Releaser], Depends(_releaser_of)]


class Body(BaseModel):
    """What is wanted in the body of a request: fields of these types, and no others.

    A field that there is none of is most likely a typing error, and what would happen without it is
    not what was meant.
    """

    model_config = ConfigDict(extra="forbid", strict=True)


class Filter(BaseModel):
    """Conditions on requests, all of which must be met.

    A parameter that there is none of is refused: it would be a condition that nobody looks at.
    """

    model_config = ConfigDict(extra="forbid")

    token: Optional[str] = Field(
        None, description="Device token in hexadecimal, or how it begins, with `*` behind.")
    topic: Optional[str] = Field(None, description="Topic.")
    push_type: Optional[str] = Field(None, description="Push type.")
    outcome: Optional[Literal["pending", "accepted", "rejected", "refused", "reset", "unanswered",
                              "discarded"]] = Field(None, description="What became of it.")
    reason: Optional[str] = Field(None, description="Reason in the response.")
    status: Optional[int] = Field(
        None, description="HTTP status, or status of the error frame.")
    text: Optional[str] = Field(
        None, description="What the payload contains, in either case.")
    since: Optional[datetime.datetime] = Field(
        None, description="Earliest time of arrival (RFC 3339, or seconds since 1970).")
    until: Optional[datetime.datetime] = Field(
        None, description="Time of arrival from which on it is too late.")
    connection: Optional[int] = Field(None, description="Number of the connection.")
    service: Optional[Literal["provider", "channels", "gateway"]] = Field(
        None, description="The service that it came to.")
    kind: Optional[Literal["notification", "broadcast", "channel", "other"]] = Field(
        None, description="What it is.")
    protocol: Optional[Literal["http2", "binary"]] = Field(None, description="The protocol.")
    apns_id: Optional[str] = Field(None, description="Identifier that the client sent.")
    collapse_id: Optional[str] = Field(None, description="Collapse identifier.")

    def query(self) -> Optional[Query]:
        """Return the conditions; None if there is none."""
        conditions: Dict[str, Any] = {
            name: getattr(self, name) for name in Filter.model_fields
            if getattr(self, name) is not None}
        for name in ("since", "until"):
            if name in conditions:
                # The milliseconds of a document may have been rounded up by this much.
                conditions[name] = _seconds(conditions[name]) - 1e-6
        return Query(**conditions) if conditions else None


def _seconds(time: datetime.datetime) -> float:
    """Return a time in seconds since 1970; without a time zone it is UTC."""
    if time.tzinfo is None:
        time = time.replace(tzinfo=datetime.timezone.utc)
    return (time - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)).total_seconds()


def read_duration(value: str, field: str) -> float:
    """Return a duration such as ``5s``, ``500ms``, ``1.5m`` or ``5`` in seconds.

    :raises ApiError: if it is none, or longer than :data:`LONGEST_WAIT`.
    """
    found = _DURATION.fullmatch(value)
    seconds = float(found.group(1)) * _UNITS[found.group(2)] if found else None
    if seconds is None or seconds > LONGEST_WAIT:
        raise ApiError(422, "%s: expected a duration such as 5s, 500ms or 1m, up to %d seconds"
                       % (field, LONGEST_WAIT), field)
    return seconds


@contextlib.contextmanager
def running(simulator: Simulator) -> Generator[None, None, None]:
    """Have what needs a simulator that runs, with all its libraries, end with an error if not."""
    try:
        yield
    except (RuntimeError, ImportError) as error:
        raise ApiError(409, str(error)) from None
