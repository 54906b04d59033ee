"""What the functions behind the paths are given: FastAPI calls these for each request."""

import contextlib
from typing import Generator

from fastapi import Depends, Request
from typing_extensions import Annotated

from ..simulator import Simulator
from .errors import ApiError

__all__ = ["TheSimulator", "running"]


async def _simulator_of(request: Request) -> Simulator:
    # A function that is not async would run in a thread of its own.
    simulator: Simulator = request.app.state.simulator
    return simulator


#: Type of a parameter that is to be the simulator.
TheSimulator = Annotated[Simulator, Depends(_simulator_of)]


@contextlib.contextmanager
def running(simulator: Simulator) -> Generator[None, None, None]:
    """Have what needs a simulator that runs, with all its libraries, end with an error if not."""
    try:
        yield
    except (RuntimeError, ImportError) as error:
        raise ApiError(409, str(error)) from None
