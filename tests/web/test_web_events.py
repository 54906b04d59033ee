"""Server-sent events: what happens, as it happens, for readers that are fast, slow or come back."""

import asyncio
import contextlib
import json
import threading

import httpx
import pytest

from apnsclient.testing.simulator import RequestScript, Simulator
from apnsclient.testing.simulator.connection_facts import ConnectionFacts
from apnsclient.testing.web import WebServer, documents
from apnsclient.testing.web import feed as feed_module
from apnsclient.testing.web.feed import Feed, Reader, Waiter
from apnsclient.testing.web.routes import events as route
from web_support import LIMIT, await_waiters

FIRST, SECOND = "aa" * 32, "ab" * 32


class Events:
    """What a reader receives.

    :ivar last: the last ``id``.
    """

    def __init__(self, lines):
        self._lines = lines
        self.last = None

    def next(self, wanted=None):
        """Return kind and data of the next event, or of the next of a kind."""
        kind, data = None, None
        for line in self._lines:
            name, _, value = line.partition(": ")
            if name == "id":
                self.last = value
            elif name == "event":
                kind = value
            elif name == "data":
                data = json.loads(value)
            elif not line and kind is not None:
                if wanted in (None, kind):
                    return kind, data
                kind = None
        raise AssertionError("the events have ended")

    def items_until(self, last):
        """Return the requests up to a number, and how many were skipped."""
        items, skipped = [], 0
        while True:
            data = self.next("notifications")[1]
            assert len(data["items"]) <= 100
            items += data["items"]
            skipped += data["skipped"]
            if data["last"] >= last:
                return items, skipped


@pytest.fixture
def listen(world):
    """A function that opens a stream of events; it takes parameters and headers."""
    with contextlib.ExitStack() as stack:
        def start(parameters=None, headers=None):
            response = stack.enter_context(world.http.stream(
                "GET", "/events", params=parameters, headers=headers))
            assert response.headers["content-type"].startswith("text/event-stream")
            events = Events(response.iter_lines())
            return events

        yield start


def test_requests_and_connections_are_told_as_they_come(world, listen):
    """Not those that were there before."""
    world.send(FIRST)
    events = listen()
    await_waiters(world.server, 1)
    world.send(SECOND)
    last = world.find()[0]["number"]
    items, skipped = events.items_until(last)
    assert ([item["token"] for item in items], skipped, events.last) == ([SECOND], 0, str(last))
    assert items == world.find(after=last - 1)
    documents.Summary.model_validate(items[0])
    data = events.next("connections")[1]
    documents.ConnectionList.model_validate(data)
    assert data["items"][0]["service"] == "provider" and data["skipped"] == 0


def test_a_reader_goes_on_where_it_was(world, listen):
    """By the header that browsers send, or by a parameter."""
    world.send(FIRST, SECOND, FIRST, SECOND)
    numbers = [item["number"] for item in world.find()[::-1]]
    for options in [{"headers": {"Last-Event-ID": str(numbers[1])}},
                    {"parameters": {"after": numbers[1]}},
                    {"headers": {"Last-Event-ID": str(numbers[1])}, "parameters": {"after": 0}}]:
        items, skipped = listen(**options).items_until(numbers[-1])
        assert ([item["number"] for item in items], skipped) == (numbers[2:], 0)


def test_a_number_of_another_life_is_a_reset(world, listen):
    """Numbers begin anew with a simulator: the reader is told, and gets all that there is."""
    world.send(FIRST)
    last = world.find()[0]["number"]
    events = listen(headers={"Last-Event-ID": str(last + 1000)})
    assert events.next() == ("reset", {})
    assert [item["number"] for item in events.items_until(last)[0]] == [last]


def test_what_is_no_number_of_a_request_is_none(world):
    """Whatever somebody sends as the last one that they received."""
    for value in (b"\xb2", b"x", b"-1", b"9" * 40, b""):
        with world.http.stream("GET", "/events", headers={"Last-Event-ID": value}) as response:
            assert (value, response.status_code) == (value, 200)


def test_what_is_deleted_is_a_reset(world, listen):
    """Whichever way it is deleted."""
    world.send(FIRST, SECOND, FIRST)
    numbers = [item["number"] for item in world.find()]
    events = listen()
    await_waiters(world.server, 1)
    for method, path in [("DELETE", "/notifications/%d" % numbers[0]),
                         ("DELETE", "/notifications?token=" + SECOND), ("POST", "/reset")]:
        assert world.http.request(method, path).is_success
        assert events.next("reset") == ("reset", {})


def test_a_late_response_is_told_of(world, listen):
    """The same request again, with its outcome."""
    world.simulator.faults.script_requests(RequestScript(hold=True))
    events = listen()
    await_waiters(world.server, 1)
    sending = threading.Thread(target=world.send, args=[FIRST])
    sending.start()
    assert world.simulator.wait_for(lambda: world.simulator.held == 1, LIMIT)
    held = events.next("notifications")[1]["items"][0]
    assert held["outcome"] == "pending"
    world.simulator.release_held()
    sending.join(LIMIT)
    again = events.next("notifications")[1]
    assert [(item["number"], item["outcome"]) for item in again["items"]] == [
        (held["number"], "accepted")]
    assert (again["last"], again["kept"]) == (held["number"], len(world.simulator.journal))


def test_a_reader_that_is_slow_is_told_what_it_missed(world, listen):
    """Every request is told of, or counted; nobody else waits for it."""
    slow = listen()
    await_waiters(world.server, 1)
    first = world.simulator.journal.last_number
    for _ in range(4):
        world.send(*["%064x" % number for number in range(400)])
    last = world.find(limit=1)[0]["number"]
    items, skipped = slow.items_until(last)
    numbers = [item["number"] for item in items]
    assert numbers == sorted(set(numbers)) and numbers[-1] == last
    assert len(numbers) + skipped == 1600
    assert numbers[0] > first and skipped >= 4 * 400 - 100 * len(numbers)


async def new_reader(simulator):
    """Return a reader; on Python 3.8 what it waits with belongs to the event loop that runs."""
    return Reader(simulator, threading.Lock(), None)


def test_a_reader_takes_no_memory_for_what_it_misses():
    """A thousand changes at most, however many there are; the rest is counted."""
    with Simulator() as simulator:
        reader = asyncio.run(new_reader(simulator))

        class One:
            def __init__(self, number):
                self.number = number

        reader.add_exchanges([One(-number) for number in range(900)])
        reader.add_exchanges([One(number - 5000) for number in range(900)])
        for number in range(2000):
            reader.add_connection(One(number))
        changed, skipped = reader.take_exchanges(100)
        assert (len(changed), skipped) == (100, 1700)
        assert len(reader.take_connections()) == 1000
        assert reader.take_exchanges(100) == ([], 0)


def test_nobody_is_woken_for_the_same_thing_again(monkeypatch):
    """Neither those who wait, nor readers who have not looked yet; what comes later wakes them."""
    woken = []
    monkeypatch.setattr(feed_module, "INTERVAL", 0)
    monkeypatch.setattr(Waiter, "wake", lambda waiter: woken.append(type(waiter)))

    async def run():
        feed = Feed(Simulator())
        feed.open()
        feed.new_waiter()
        feed.new_reader()
        for rounds, expected in [(1, 2), (0, 2), (1, 4), (3, 8), (0, 8)]:
            for _ in range(rounds):
                feed.connection_opened(ConnectionFacts(1, 1, "provider", (), None, None, 0.0))
                feed.round_ended()
            for _ in range(10):
                await asyncio.sleep(0)
            assert len(woken) == expected
        feed.close()

    asyncio.run(run())


def test_a_reader_hears_nothing_when_there_are_no_news():
    """A comment is for the end of a long silence."""
    async def run():
        feed = Feed(Simulator())
        feed.open()
        reader = feed.new_reader()
        messages = route._messages(Simulator(), reader)
        assert await messages.__anext__() == "retry: 1000\n\n"
        task = asyncio.ensure_future(messages.__anext__())
        for _ in range(3):
            reader.wake()
            for _ in range(10):
                await asyncio.sleep(0)
            assert not task.done()
        reader.was_reset = True
        reader.wake()
        assert await task == "event: reset\ndata: {}\n\n"
        await messages.aclose()
        feed.close()

    asyncio.run(run())


def test_a_reader_that_goes_at_once_is_forgotten():
    """Before the first byte was sent to it."""
    async def run():
        feed = Feed(Simulator())
        stream = route._Stream(Simulator(), feed, feed.new_reader())

        async def receive():
            return {"type": "http.disconnect"}

        async def send(message):
            raise OSError("it is gone")

        with contextlib.suppress(Exception):
            await stream({"type": "http"}, receive, send)
        return feed

    assert asyncio.run(run()).waiter_count == 0


def test_streams_end_with_the_server_and_with_their_reader():
    """Neither holds up the other."""
    server = WebServer(Simulator(), ("127.0.0.1", 0))
    with server, httpx.Client(timeout=LIMIT) as client:
        with client.stream("GET", server.url + "api/v1/events"):
            await_waiters(server, 1)
        await_waiters(server, 0)
        with client.stream("GET", server.url + "api/v1/events") as response:
            await_waiters(server, 1)
            server.stop()
            assert [line for line in response.iter_lines() if line] == ["retry: 1000"]
    assert server.waiter_count == 0


def test_there_are_no_more_readers_than_can_be_served(world, monkeypatch):
    """One more is told so."""
    monkeypatch.setattr(route, "_MOST_READERS", 0)
    response = world.http.get("/events")
    assert (response.status_code, response.json()["error"]["field"]) == (503, None)
