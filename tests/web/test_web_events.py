"""Server-sent events: what happens, as it happens, for readers that are fast, slow or come back."""

import asyncio
import contextlib
import json
import threading

import httpx
import pytest

from apnsclient.testing.simulator import RequestScript, Simulator
from apnsclient.testing.web import WebServer, documents
from apnsclient.testing.web.feed import Reader
from web_support import LIMIT

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


def await_readers(server, count):
    """Wait until so many readers are listening."""
    waiting = threading.Event()
    for _ in range(LIMIT * 100):
        if server.reader_count == count:
            return
        waiting.wait(0.01)
    raise AssertionError("there are %d readers" % server.reader_count)


def test_requests_and_connections_are_told_as_they_come(world, listen):
    """Not those that were there before."""
    world.send(FIRST)
    events = listen()
    await_readers(world.server, 1)
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


def test_what_is_deleted_is_a_reset(world, listen):
    """Whichever way it is deleted."""
    world.send(FIRST, SECOND, FIRST)
    numbers = [item["number"] for item in world.find()]
    events = listen()
    await_readers(world.server, 1)
    for method, path in [("DELETE", "/notifications/%d" % numbers[0]),
                         ("DELETE", "/notifications?token=" + SECOND), ("POST", "/reset")]:
        assert world.http.request(method, path).is_success
        assert events.next("reset") == ("reset", {})


def test_a_late_response_is_told_of(world, listen):
    """The same request again, with its outcome."""
    world.simulator.faults.script_requests(RequestScript(hold=True))
    events = listen()
    await_readers(world.server, 1)
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
    assert again["last"] == held["number"]


def test_a_reader_that_is_slow_is_told_what_it_missed(world, listen):
    """Every request is told of, or counted; nobody else waits for it."""
    slow = listen()
    await_readers(world.server, 1)
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


def test_streams_end_with_the_server_and_with_their_reader():
    """Neither holds up the other."""
    server = WebServer(Simulator(), ("127.0.0.1", 0))
    with server, httpx.Client(timeout=LIMIT) as client:
        with client.stream("GET", server.url + "api/v1/events"):
            await_readers(server, 1)
        await_readers(server, 0)
        with client.stream("GET", server.url + "api/v1/events") as response:
            await_readers(server, 1)
            server.stop()
            assert [line for line in response.iter_lines() if line] == ["retry: 1000"]
    assert server.reader_count == 0


def test_there_are_no_more_readers_than_can_be_served(world, monkeypatch):
    """One more is told so."""
    from apnsclient.testing.web.routes import events

    monkeypatch.setattr(events, "_MOST_READERS", 0)
    response = world.http.get("/events")
    assert (response.status_code, response.json()["error"]["field"]) == (503, None)
