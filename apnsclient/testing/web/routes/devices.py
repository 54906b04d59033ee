"""Devices: which tokens are good, bad, gone, or for another topic."""

from typing import List, Optional

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field
from typing_extensions import Annotated, Literal

from ...simulator import Devices
from ...simulator.devices import DeviceState
from ...simulator.documents import rfc3339
from ..errors import ApiError
from ..parameters import Body, TheSimulator

__all__ = ["router"]

router = APIRouter(tags=["devices"])

#: Tokens in one request, at most.
_MOST_TOKENS = 10000

_TOKEN = "Device token in hexadecimal, or how it begins, with `*` behind."

Token = Annotated[str, Path(description=_TOKEN, max_length=2 * 65535, pattern=r"^[0-9A-Fa-f]*\*?$")]


class State(Body):
    """What is known of a device."""

    state: Literal["known", "bad", "uninstalled"] = Field(
        description="`known`: pushes are accepted. `bad`: they are rejected. `uninstalled`: the "
                    "provider API rejects them with status 410, and the feedback list has a row.")
    reason: Optional[str] = Field(
        default=None,
        description="Reason that the provider API gives; usually BadDeviceToken, and Unregistered "
                    "for what is uninstalled.")
    status: Optional[int] = Field(
        default=None, ge=0, le=255,
        description="Status of the gateway's error frame, for `bad`; usually 8.")
    topic: Optional[str] = Field(
        default=None,
        description="Topic that the token is for, for `known`: pushes for another one get "
                    "DeviceTokenNotForTopic. Usually it is for all.")
    since: Optional[int] = Field(
        default=None, ge=0, lt=1 << 32,
        description="When the application was uninstalled, in seconds since 1970; usually now.")


class Device(State):
    """A device, or all whose tokens begin alike, with what is known of it."""

    token: str = Field(description=_TOKEN)
    since_time: Optional[str] = Field(default=None, description="`since` as RFC 3339 has it.")


class DeviceList(BaseModel):
    """All devices of which something is known."""

    strict: bool = Field(description="Whether tokens that are not known are rejected.")
    items: List[Device] = Field(description="Prefixes first.")


class ManyDevices(State):
    """The same state for many devices."""

    tokens: List[str] = Field(description=_TOKEN, max_length=_MOST_TOKENS)


class Strictness(Body):
    """Whether tokens that are not known are rejected."""

    strict: bool


@router.get("/devices")
def list_devices(simulator: TheSimulator) -> DeviceList:
    """Return all devices of which something is known."""
    return DeviceList(strict=simulator.devices.strict,
                      items=[_device(state) for state in simulator.devices.states()])


@router.patch("/devices")
def set_strictness(simulator: TheSimulator, wanted: Strictness) -> Strictness:
    """Say whether tokens that are not known are rejected, with BadDeviceToken."""
    simulator.devices.strict = wanted.strict
    return wanted


@router.post("/devices")
def set_devices(simulator: TheSimulator, wanted: ManyDevices) -> DeviceList:
    """Say the same of many devices; return all of which something is known."""
    _set_state(simulator.devices, wanted.tokens, wanted)
    return list_devices(simulator)


@router.put("/devices/{token}")
def set_device(simulator: TheSimulator, token: Token, wanted: State) -> Device:
    """Say what a device is, or all whose tokens begin alike."""
    _set_state(simulator.devices, [token], wanted)
    return _find(simulator.devices, token)


@router.get("/devices/{token}")
def read_device(simulator: TheSimulator, token: Token) -> Device:
    """Return what is known of a device."""
    return _find(simulator.devices, token)


@router.delete("/devices/{token}", status_code=204)
def forget_device(simulator: TheSimulator, token: Token) -> None:
    """Forget a device: its token is like any other."""
    _find(simulator.devices, token)
    simulator.devices.remove(token)


@router.delete("/devices", status_code=204)
def forget_all_devices(simulator: TheSimulator) -> None:
    """Forget all devices, and their rows in the feedback list."""
    simulator.devices.remove(*[state.token for state in simulator.devices.states()])


def _set_state(devices: Devices, tokens: List[str], wanted: State) -> None:
    """Set the state of tokens, all or none.

    :raises ApiError: if something does not fit.
    """
    _check_fields(wanted)
    try:
        _try_tokens(tokens)
        if wanted.state == "known":
            devices.add(*tokens)
            if wanted.topic is not None:
                devices.add_for_topic(wanted.topic, *tokens)
        for token in tokens:
            if wanted.state == "bad":
                devices.bad(token, 8 if wanted.status is None else wanted.status,
                            wanted.reason or "BadDeviceToken")
            elif wanted.state == "uninstalled":
                devices.uninstall(token, wanted.since, wanted.reason or "Unregistered")
    except ValueError as error:
        raise ApiError(422, str(error)) from None


def _check_fields(wanted: State) -> None:
    """Raise ApiError if a field is given that the state does not have."""
    for name, states in (("status", ("bad",)), ("topic", ("known",)), ("since", ("uninstalled",)),
                         ("reason", ("bad", "uninstalled"))):
        if getattr(wanted, name) is not None and wanted.state not in states:
            raise ApiError(422, "%s is for what is %s, and this is %s"
                           % (name, " or ".join(states), wanted.state), name)


def _try_tokens(tokens: List[str]) -> None:
    """Raise ValueError if one of the tokens is none."""
    Devices().add(*tokens)


def _find(devices: Devices, token: str) -> Device:
    for state in devices.states():
        if state.token == token.lower():
            return _device(state)
    raise ApiError(404, "nothing is known of this token; see GET /api/v1/devices", "token")


def _device(state: DeviceState) -> Device:
    return Device(
        token=state.token, state=state.state, status=state.status,  # type: ignore[arg-type]
        reason=state.reason, topic=state.topic, since=state.since, since_time=rfc3339(state.since))
