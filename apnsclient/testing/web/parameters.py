"""What the functions behind the paths are given: FastAPI calls these for each request."""

from fastapi import Depends, Request
from typing_extensions import Annotated

from ..simulator import Simulator

__all__ = ["TheSimulator"]


def _simulator_of(request: Request) -> Simulator:
    simulator: Simulator = request.app.state.simulator
    return simulator


#: Type of a parameter that is to be the simulator.
TheSimulator = Annotated[Simulator, Depends(_simulator_of)]
