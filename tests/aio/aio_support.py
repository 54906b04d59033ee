"""What the tests of the asynchronous client share and import; fixtures are in conftest."""

import asyncio
import functools
import sys
from typing import Any, Callable, Coroutine

Test = Callable[..., Coroutine[Any, Any, None]]


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
