"""What the tests of the asynchronous client share: both event loops, and a running simulator.

A test is a coroutine function with the mark ``anyio``, and runs on each loop, in a new one each
time. What reaches the loop's exception handler fails the test as well.

A test that hangs is cancelled from inside its loop, so that the traceback shows what it waited for:
the alarm of pytest-timeout does not wake an idle uvloop. Its thread is there for a loop that
is blocked, and for fixtures; it prints the stacks and ends the process.
"""

import inspect
import os
from typing import Any, Iterator, List, Tuple

import pytest

from aio_support import bounded
from apnsclient.testing.simulator import Simulator

#: Seconds after which a test is cancelled, and those after which its process is ended.
LIMIT, LAST_LIMIT = 60, 150

HERE = os.path.dirname(os.path.abspath(__file__))

def pytest_collection_modifyitems(items: List[pytest.Item]) -> None:
    """Give each test of this folder its limits."""
    for item in items:
        if os.path.dirname(str(item.fspath)) == HERE and isinstance(item, pytest.Function):
            item.add_marker(pytest.mark.timeout(LAST_LIMIT, method="thread"))
            if inspect.iscoroutinefunction(item.obj):
                item.obj = bounded(item.obj, LIMIT)


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request: Any) -> Tuple[str, Any]:
    """The event loop of the test."""
    if request.param == "uvloop":
        pytest.importorskip("uvloop")
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


@pytest.fixture
def apple() -> Iterator[Simulator]:
    """A simulator in threads of its own, on free ports, which runs as long as the test."""
    with Simulator() as running:
        yield running


@pytest.fixture
def ca_file(apple: Simulator, tmp_path: Any) -> str:
    """The path of a file with the authority's certificate: what a client must trust."""
    path = tmp_path / "ca.pem"
    path.write_text(apple.ca_string)
    return str(path)


@pytest.fixture
def cert_file(apple: Simulator, tmp_path: Any) -> str:
    """The path of a file with a client certificate and its key, which the simulator accepts."""
    path = tmp_path / "cert.pem"
    path.write_text(apple.cert_string)
    return str(path)
