"""What the tests of the asynchronous client share: a plugin, which conftest names.

A test is a coroutine function with the mark ``anyio``, and runs on each loop, in a new one each
time. What reaches the loop's exception handler fails the test as well.

A test that hangs is cancelled from inside its loop, so that the traceback shows what it waited for:
the alarm of pytest-timeout does not wake an idle uvloop. Its thread is there for a loop that
is blocked, and for fixtures; it prints the stacks and ends the process.
"""

import asyncio
import functools
import inspect
import sys
from typing import Any, Callable, Coroutine, List, Tuple

import pytest

#: Seconds after which a test is cancelled, and those after which its process is ended.
LIMIT, LAST_LIMIT = 120, 200

Test = Callable[..., Coroutine[Any, Any, None]]


def pytest_collection_modifyitems(items: List[pytest.Item]) -> None:
    """Give each coroutine its limits."""
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            item.add_marker(pytest.mark.timeout(LAST_LIMIT, method="thread"))
            item.obj = bounded(item.obj, LIMIT)


def bounded(test: Test, limit: float) -> Test:
    """Return a test that fails, and says where it and all other tasks are, after a time limit."""
    @functools.wraps(test)
    async def run(*args: Any, **kwargs: Any) -> None:
        loop = asyncio.get_running_loop()
        task = loop.create_task(test(*args, **kwargs))
        overdue = []

        def expire() -> None:
            overdue.append(task)
            for each in asyncio.all_tasks():
                each.print_stack(file=sys.stderr)
            task.cancel()

        alarm = loop.call_later(limit, expire)
        try:
            await task
        except asyncio.CancelledError as where:
            if not overdue:
                raise
            raise AssertionError("the test had not ended after %s s" % limit) from where
        finally:
            alarm.cancel()

    return run


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request: Any) -> Tuple[str, Any]:
    """The event loop of the test."""
    if request.param == "uvloop":
        pytest.importorskip("uvloop")
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


@pytest.fixture
def ca_file(simulator: Any, tmp_path: Any) -> str:
    """The path of a file with the simulator's authority: what a client must trust."""
    path = tmp_path / "ca.pem"
    path.write_text(simulator.ca_string)
    return str(path)


@pytest.fixture
def cert_file(simulator: Any, tmp_path: Any) -> str:
    """The path of a file with a client certificate and its key, which the simulator accepts."""
    path = tmp_path / "cert.pem"
    path.write_text(simulator.cert_string)
    return str(path)
