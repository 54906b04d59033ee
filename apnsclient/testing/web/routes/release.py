"""A notification is sent on to Apple, if the server was started with a key for it."""

from fastapi import APIRouter, Path
from typing_extensions import Annotated

from ..documents import Release
from ..errors import ApiError
from ..parameters import TheReleaser, TheSimulator
from ..releaser import NotReleasable

__all__ = ["router"]

router = APIRouter(prefix="/notifications", tags=["notifications"])

_Number = Annotated[int, Path(description="Number of the request.", ge=1, le=2 ** 53)]


@router.post("/{number}/release")
def release_notification(
        simulator: TheSimulator, releaser: TheReleaser, number: _Number) -> Release:
    """Send a notification on to Apple, if its device token is on the list for that."""
    if releaser is None:
        raise ApiError(409, "nothing can be released: no key for that was given at the start; see "
                            "apns simulator --release-key")
    exchange = simulator.journal.get(number)
    if exchange is None:
        raise ApiError(404, "there is no request %d, or not any more" % number, "number")
    try:
        return Release(**releaser.release(exchange))
    except NotReleasable as error:
        raise ApiError(409, str(error), "number") from None


@router.get("/{number}/release")
def read_release(
        simulator: TheSimulator, releaser: TheReleaser, number: _Number) -> Release:
    """Return what became of a notification that was sent on."""
    exchange = simulator.journal.get(number)
    found = None if exchange is None or releaser is None else releaser.result_of(exchange)
    if found is None:
        raise ApiError(404, "the notification has not been released", "number")
    return Release(**found)
