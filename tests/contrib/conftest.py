"""What the tests of the push tasks share: an application whose broker is memory, and its worker."""

import itertools
from typing import Any, Callable, Iterator, List

import pytest
from celery import Celery
from celery.contrib.testing.worker import start_worker

from apnsclient import Message
from apnsclient.contrib.celery import PushTasks
from apnsclient.testing.simulator import Simulator

#: Longest wait for a result, in seconds.
LIMIT = 60


class Shop:
    """An application with push tasks to the simulator.

    :ivar credential: what its callable for credentials returns.
    :ivar listed: the tokens that the source ``listed`` gives.
    :ivar reports: what the task ``report`` was called with.
    :ivar gone: what ``on_gone`` was called with; likewise ``bad``.
    """

    def __init__(self, simulator: Any, options: Any) -> None:
        self.simulator = simulator
        self.app = Celery("shop", broker="memory://", backend="cache+memory://",
                          set_as_current=False)
        self.app.conf.broker_transport_options = {"polling_interval": 0.01}
        self.app.conf.worker_hijack_root_logger = False
        self.gone: List[Any] = []
        self.bad: List[Any] = []
        self._numbers = itertools.count()
        self.credential = simulator.token_parameters
        options.setdefault("credentials", lambda name: self.credential)
        options.setdefault("targets", {"production": simulator.provider_address})
        options.setdefault("session_options", {
            "protocol": "http2", "ca_string": simulator.ca_string})
        options.setdefault("on_gone", lambda *row: self.gone.append(row))
        options.setdefault("on_bad_token", lambda *row: self.bad.append(row))
        self.listed: List[str] = []
        self.is_failing = False
        options.setdefault("sources", {"listed": self.list, "endless": lambda after, limit: ["00"]})
        self.push = PushTasks(self.app, **options)
        self.reports: List[Any] = []

        @self.app.task(name="report", shared=False)
        def report(counts: Any) -> None:
            self.reports.append(counts)

        self.report = report

    def list(self, after: str, limit: int, skip: str = "") -> List[str]:
        """A source: gives what is listed, or fails once if it is to."""
        if self.is_failing:
            self.is_failing = False
            raise RuntimeError("the database is away")
        return [token for token in self.listed if token > after and token != skip][:limit]

    def counts(self, result: Any) -> Any:
        """Wait for a task; return its counts without what is 0."""
        found = result.get(timeout=LIMIT, interval=0.01)
        return {name: value for name, value in found.items() if value}

    def message(self, number: int, **options: Any) -> Message:
        """Return a message to so many devices, which no other message went to."""
        options.setdefault("alert", "Dinner is ready")
        return Message(self.tokens(number), apns_topic="com.example.dinner", **options)

    def tokens(self, number: int) -> List[str]:
        """Return so many new device tokens, in order."""
        return ["%064x" % next(self._numbers) for _ in range(number)]


@pytest.fixture
def make_shop(simulator: Any) -> Iterator[Callable[..., Shop]]:
    """A function that makes applications; it takes the options of ``PushTasks``."""
    shops: List[Shop] = []

    def make(**options: Any) -> Shop:
        shops.append(Shop(simulator, options))
        return shops[-1]

    yield make
    for shop in shops:
        shop.push.close()


@pytest.fixture(scope="session")
def running() -> Iterator[Shop]:
    """An application with a worker in threads, which takes seconds to be stopped."""
    with Simulator() as simulator:
        shop = Shop(simulator, {"probe_after": 1.0, "chunk_tokens": 10})
        with start_worker(shop.app, pool="threads", concurrency=2, perform_ping_check=False,
                          shutdown_timeout=LIMIT, loglevel="WARNING"):
            yield shop
        shop.push.close()


@pytest.fixture
def shop(running: Shop) -> Shop:
    """The application of :func:`running`, as it was at first."""
    running.simulator.forget()
    del running.gone[:], running.bad[:]
    return running
