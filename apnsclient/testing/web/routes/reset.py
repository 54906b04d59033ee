"""Everything as it was at the start, and the keys of provider tokens."""

from typing import List, Optional

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field
from typing_extensions import Annotated, Literal

from ..errors import ApiError
from ..parameters import Body, TheChaos, TheFeed, TheSimulator, running

__all__ = ["router"]

router = APIRouter(tags=["server"])

KeyId = Annotated[str, Path(description="Identifier of a key.", min_length=1, max_length=100)]


class Key(BaseModel):
    """A key for provider tokens."""

    key_id: str
    team_id: str
    environment: Optional[Literal["sandbox", "production"]] = Field(
        description="The only environment that it is for; null for both.")
    topics: Optional[List[str]] = Field(description="Those that it is for; null for all.")
    related: Optional[str] = Field(
        description="Another key whose tokens may be used over the same connection.")


class NewKey(Body):
    """What a new key is for."""

    team_id: Optional[str] = Field(
        default=None, max_length=100, description="Usually the simulator's.")
    environment: Optional[Literal["sandbox", "production"]] = None
    topics: Optional[List[str]] = None
    related: Optional[str] = None


class PrivateKey(BaseModel):
    """A key that was made."""

    key_id: str
    private_key: str = Field(description="PEM text, as Apple's .p8 files have it. It is told once.")


@router.post("/reset", status_code=204)
def reset(simulator: TheSimulator, feed: TheFeed, chaos: TheChaos) -> None:
    """Make devices, keys, scripts and faults as they were, and keep nothing of what came.

    Chaos proxies are stopped.
    """
    with running(simulator):
        simulator.reset()
    chaos.stop()
    feed.tell_reset()


@router.get("/keys")
def list_keys(simulator: TheSimulator) -> List[Key]:
    """Return the keys whose provider tokens are accepted."""
    return [Key(**key) for key in simulator.keys()]


@router.put("/keys/{key_id}", status_code=201)
def add_key(simulator: TheSimulator, key_id: KeyId, wanted: Optional[NewKey] = None) -> PrivateKey:
    """Make a key; one of the same identifier is replaced."""
    wanted = wanted or NewKey()
    try:
        private = simulator.add_key(
            key_id, wanted.team_id or simulator.team_id, wanted.environment, wanted.topics,
            wanted.related)
    except ValueError as error:
        raise ApiError(422, str(error)) from None
    return PrivateKey(key_id=key_id, private_key=private)


@router.delete("/keys/{key_id}", status_code=204)
def revoke_key(simulator: TheSimulator, key_id: KeyId) -> None:
    """Revoke a key: tokens that it signed get InvalidProviderToken."""
    if key_id not in [key["key_id"] for key in simulator.keys()]:
        raise ApiError(404, "there is no such key; see GET /api/v1/keys", "key_id")
    simulator.revoke_key(key_id)
