"""What the tests of the web server share: a simulator that has one."""

from typing import Any, Iterator

import pytest

from apnsclient.testing.simulator import Simulator
from apnsclient.testing.web import WebServer
from web_support import World


@pytest.fixture(scope="module")
def running() -> Iterator[World]:
    with Simulator(linger=0.1) as simulator, WebServer(simulator, ("127.0.0.1", 0)) as server:
        world = World(simulator, server)
        with world.http:
            yield world


@pytest.fixture
def world(running: World) -> Any:
    """The simulator and its web server, as they were at first."""
    running.simulator.reset()
    return running
