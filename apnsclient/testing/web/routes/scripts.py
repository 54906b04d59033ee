"""Scripts: how the simulator misbehaves on the next connections, and towards the next requests."""

from typing import Any, Callable, Dict, List, Optional, Union

from fastapi import APIRouter, Body, Path
from pydantic import BaseModel, Field
from typing_extensions import Annotated, Literal

from ...simulator import Simulator
from ...simulator.script_documents import script_from_document, script_to_document
from ..errors import ApiError
from ..parameters import TheSimulator, running

__all__ = ["router"]

router = APIRouter(tags=["scripts"])

Service = Annotated[Literal["gateway", "feedback", "provider", "channels"], Path(
    description="The service whose connections they are for.")]
Target = Annotated[Literal["gateway", "feedback", "provider", "channels", "requests"], Path(
    description="The service whose connections they are for; or `requests`, to the provider API.")]

#: A script as JSON has it, see apnsclient.testing.simulator.script_documents.
Document = Dict[str, Any]

_SCRIPT = ("Fields of `ProviderScript`, `Script`, `FeedbackScript` or `RequestScript`, whichever "
           "the service takes; those that are left out are as usual.")
_EXAMPLES = [{"goaway_after": 3, "goaway_reason": "Shutdown"}, [{"response": "TooManyRequests"}]]


class Scripts(BaseModel):
    """Scripts of one service, or of requests."""

    usual: Optional[Document] = Field(
        description="Script of the connections that have none of their own; null for requests.")
    queued: List[Optional[Document]] = Field(
        description="Scripts of the next connections, or requests, in order; null stands for the "
                    "usual one.")


@router.get("/scripts/{service}")
def read_scripts(simulator: TheSimulator, service: Target) -> Scripts:
    """Return the scripts that are waiting, and the usual one."""
    usual = None
    if service != "requests":
        usual = script_to_document(simulator.faults.usual_script(service))
    with running(simulator):
        queued = simulator.faults.queued_scripts(service)
    return Scripts(usual=usual, queued=[
        None if script is None else script_to_document(script) for script in queued])


@router.post("/scripts/{service}")
def add_scripts(
        simulator: TheSimulator, service: Target,
        scripts: Annotated[Union[Document, List[Optional[Document]]], Body(
            description=_SCRIPT + " Several in an array; null for a connection as usual.",
            examples=_EXAMPLES)]) -> Scripts:
    """Script the next connections to a service, or the next requests to the provider API."""
    documents = scripts if isinstance(scripts, list) else [scripts]
    parsed = [None if one is None else _read(service, one) for one in documents]
    with running(simulator):
        if service != "requests":
            _adder(simulator, service)(*parsed)
        elif None in parsed:
            raise ApiError(422, "a script of requests is null, expected an object")
        else:
            simulator.faults.script_requests(*[one for one in parsed if one is not None])
    return read_scripts(simulator, service)


@router.delete("/scripts/{service}", status_code=204)
def drop_scripts(simulator: TheSimulator, service: Target) -> None:
    """Drop the scripts that are waiting."""
    with running(simulator):
        simulator.faults.clear_scripts(service)


@router.put("/scripts/{service}/usual")
def set_usual_script(
        simulator: TheSimulator, service: Service,
        script: Annotated[Document, Body(description=_SCRIPT, examples=_EXAMPLES[:1])]) -> Scripts:
    """Set the script of the connections that have none of their own."""
    simulator.faults.set_usual_script(service, _read(service, script))
    return read_scripts(simulator, service)


def _adder(simulator: Simulator, service: Service) -> Callable[..., None]:
    """Return the function that adds scripts for a service."""
    adders: Dict[str, Callable[..., None]] = {
        "gateway": simulator.script, "feedback": simulator.script_feedback,
        "provider": simulator.script_provider, "channels": simulator.script_channels}
    return adders[service]


def _read(service: str, document: Document) -> Any:
    try:
        return script_from_document(service, document)
    except ValueError as error:
        raise ApiError(422, str(error)) from None
