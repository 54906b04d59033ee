"""Chaos proxies: what networks do to connections, in front of a service."""

from typing import Any, Dict, List, Optional, Union

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field
from typing_extensions import Annotated, Literal

from ...chaos import ChaosProxy, ConfigurationError
from ...chaos.http_api import describe_handler
from ..chaos_proxies import ChaosProxies
from ..errors import ApiError
from ..parameters import AddressFormat, Body, TheAddressFormat, TheChaos, running

__all__ = ["router"]

router = APIRouter(prefix="/chaos", tags=["chaos"])

#: Connections that one response tells of, the last ones.
_MOST_CONNECTIONS = 100

Service = Annotated[Literal["gateway", "feedback", "provider", "channels"], Path(
    description="The service that the proxy is in front of.")]
Settings = Dict[str, Dict[str, Any]]


class Option(BaseModel):
    """An option of a handler."""

    description: str
    type: str = Field(description="Type of its value.")
    default: Any = Field(description="Value unless it is set.")


class Handler(BaseModel):
    """A handler: what can be done to connections."""

    description: str
    options: Dict[str, Option]


class ChaosConnection(BaseModel):
    """A connection through a proxy."""

    number: int
    peer: str = Field(description="Address of the client.")
    handler: str = Field(description="The handler that was drawn for it.")
    faults: List[str] = Field(description="What was done to it, the first hundred.")
    fault_count: int
    bytes_to_backend: int
    bytes_to_client: int
    error: Optional[str] = Field(
        description="Why it ended, where that was neither its peers' nor the handler's doing.")
    closed: bool


class Proxy(BaseModel):
    """A proxy that runs."""

    service: str
    address: str = Field(description="`host:port`, where clients connect to.")
    behavior: str
    seed: Union[int, str]
    settings: Settings = Field(description="Options of the handlers in the behavior.")
    connection_count: int
    open_connections: int
    fault_count: int
    connections: List[ChaosConnection] = Field(description="The last hundred, newest first.")


class WantedProxy(Body):
    """What a proxy is to do."""

    behavior: Optional[str] = Field(
        default=None, max_length=1000, examples=["100:delay", "20:reset,10:hang"],
        description="Which handlers serve how many connections of a hundred; the rest passes "
                    "unharmed.")
    settings: Optional[Settings] = Field(
        default=None, examples=[{"delay": {"sleep": 0.5}}],
        description="Values by handler and option, beside those that were set before.")
    existing: bool = Field(default=False, description="Also for connections that are open.")
    seed: Union[int, Annotated[str, Field(max_length=100)], None] = Field(
        default=None, description="What all chance comes from, of a new proxy.")
    port: int = Field(
        default=0, ge=0, le=65535, description="Where a new proxy listens; 0 takes a free one.")


@router.get("")
def list_proxies(chaos: TheChaos, format_address: TheAddressFormat) -> List[Proxy]:
    """Return the proxies that run."""
    return [_describe(service, proxy, format_address) for service, proxy in chaos.all()]


@router.get("/handlers")
def list_handlers(chaos: TheChaos) -> Dict[str, Handler]:
    """Return the handlers that there are, with their options."""
    return {name: _handler(each) for name, each in chaos.handlers()}


@router.get("/{service}")
def read_proxy(chaos: TheChaos, format_address: TheAddressFormat, service: Service) -> Proxy:
    """Return what a proxy does, and what became of the connections through it."""
    proxy = chaos.get(service)
    if proxy is None:
        raise _not_found(service)
    return _describe(service, proxy, format_address)


@router.put("/{service}")
def put_proxy(
        chaos: TheChaos, format_address: TheAddressFormat, service: Service,
        wanted: Optional[WantedProxy] = None) -> Proxy:
    """Start a proxy in front of a service, or change what it does."""
    wanted = wanted or WantedProxy()
    try:
        with running(chaos.simulator):
            return _describe(service, _put(chaos, service, wanted), format_address)
    except ConfigurationError as error:
        raise ApiError(422, str(error)) from None
    except ValueError as error:
        raise ApiError(409, str(error)) from None


def _put(chaos: ChaosProxies, service: str, wanted: WantedProxy) -> ChaosProxy:
    try:
        return chaos.put(service, **dict(wanted))
    except OSError as error:
        raise ApiError(409, "cannot listen at port %d: %s" % (wanted.port, error.strerror),
                       "port") from None


@router.delete("/{service}", status_code=204)
def stop_proxy(chaos: TheChaos, service: Service) -> None:
    """Stop a proxy, and reset the connections through it."""
    if not chaos.remove(service):
        raise _not_found(service)


def _not_found(service: str) -> ApiError:
    return ApiError(404, "there is no proxy in front of %s; PUT starts one" % service, "service")


def _handler(handler: Any) -> Handler:
    return Handler(**describe_handler(handler))


def _describe(service: str, proxy: ChaosProxy, format_address: AddressFormat) -> Proxy:
    return Proxy(
        service=service, address=format_address(proxy.address), behavior=proxy.behavior,
        seed=proxy.seed,
        settings={name: proxy.settings(name) for name in proxy.behavior_names},
        connection_count=proxy.connection_count, open_connections=proxy.open_connections,
        fault_count=proxy.fault_count, connections=[
            ChaosConnection(**record.as_dict())
            for record in reversed(proxy.connections[-_MOST_CONNECTIONS:])])
