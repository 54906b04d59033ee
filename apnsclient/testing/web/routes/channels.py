"""Broadcast channels of Live Activities."""

from typing import List, Optional

from fastapi import APIRouter
from fastapi import Query as QueryParameter
from pydantic import Field
from typing_extensions import Annotated, Literal

from ..errors import ApiError
from ..parameters import Body, TheSimulator

__all__ = ["router"]

router = APIRouter(tags=["channels"])

_APPLICATION = "Bundle identifier of the application."
#: What the paths of the channel management take.
_PATTERN = r"^[0-9A-Za-z.-]+$"


class NewChannel(Body):
    """A channel to be made."""

    application: str = Field(description=_APPLICATION, max_length=255, pattern=_PATTERN)
    storage_policy: Literal[0, 1] = Field(
        default=0, description="0 stores no message, 1 the most recent one.")


class Capability(Body):
    """Whether an application may broadcast."""

    application: str = Field(description=_APPLICATION, max_length=255, pattern=_PATTERN)
    enabled: bool = Field(description="False takes its channels as well.")


class Channel(NewChannel):
    """A channel."""

    channel_id: str = Field(description="Identifier, for the field `apns-channel-id`.")


@router.get("/channels")
def list_channels(simulator: TheSimulator) -> List[Channel]:
    """Return all channels, by application and in the order of their creation."""
    found: List[Channel] = []
    for application in simulator.channels.applications():
        for channel_id in simulator.channels.ids(application):
            policy = simulator.channels.storage_policy(application, channel_id)
            if policy is not None:  # It may have been deleted meanwhile.
                found.append(Channel(
                    application=application, channel_id=channel_id,
                    storage_policy=policy))  # type: ignore[arg-type]
    return found


@router.post("/channels", status_code=201)
def create_channel(simulator: TheSimulator, wanted: NewChannel) -> Channel:
    """Create a channel, as a request to the channel management does."""
    try:
        channel_id = simulator.channels.create(wanted.application, wanted.storage_policy)
    except ValueError as error:
        raise ApiError(422, str(error), "application") from None
    return Channel(application=wanted.application, channel_id=channel_id,
                   storage_policy=wanted.storage_policy)


@router.patch("/channels")
def set_capability(simulator: TheSimulator, wanted: Capability) -> Capability:
    """Take the broadcast capability from an application, or give it back.

    Requests about an application without it get FeatureNotEnabled. All have it to begin with.
    """
    if wanted.enabled:
        simulator.channels.enable(wanted.application)
    else:
        simulator.channels.disable(wanted.application)
    return wanted


@router.get("/channels/disabled")
def list_disabled_applications(simulator: TheSimulator) -> List[str]:
    """Return the applications without the broadcast capability, in alphabetical order."""
    return simulator.channels.disabled()


@router.delete("/channels", status_code=204)
def delete_channels(
        simulator: TheSimulator,
        application: Annotated[Optional[str], QueryParameter(description=_APPLICATION)] = None,
        channel_id: Annotated[Optional[str], QueryParameter(
            description="Identifier of one of its channels; usually all of them.")] = None) -> None:
    """Delete a channel, those of an application, or all channels."""
    channels = simulator.channels
    if application is None:
        if channel_id is not None:
            raise ApiError(422, "channel_id is given without application", "application")
        for each in channels.applications():
            _delete(simulator, each, channels.ids(each))
    elif channel_id is None:
        _delete(simulator, application, channels.ids(application))
    elif not channels.delete(application, channel_id):
        raise ApiError(404, "there is no such channel; see GET /api/v1/channels", "channel_id")


def _delete(simulator: TheSimulator, application: str, channel_ids: List[str]) -> None:
    for channel_id in channel_ids:
        simulator.channels.delete(application, channel_id)
