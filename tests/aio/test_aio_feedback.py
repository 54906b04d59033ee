"""Dead tokens go to the feedback store, and come from there: none is lost on the way."""

import asyncio
import threading

import pytest

from apnsclient.aio.api import create_client
from apnsclient.feedback_store import MemoryStore
from net_support import make_tokens

pytestmark = pytest.mark.anyio

TOKENS = [token.lower() for token in make_tokens(4)]
PAYLOAD = {"aps": {"alert": "x"}}


def new_client(apple, store):
    """Begin to make a client of the simulator, where all devices are gone."""
    for token in TOKENS:
        apple.devices.uninstall(token)
    return create_client(apple.cert_string, apple.provider_address, ca_string=apple.ca_string,
                         topic="com.example.app", feedback_store=store)


class GatedStore(MemoryStore):
    """A store that takes its time to read: until a gate is opened. It may be empty, too."""

    def __init__(self):
        super().__init__()
        self.is_there = threading.Event()
        self.gate = threading.Event()

    def __len__(self):
        return 0

    def drain(self, source):
        found = super().drain(source)
        self.is_there.set()
        assert self.gate.wait(60)
        return found


async def in_thread(function, *arguments):
    """Call a function that waits."""
    return await asyncio.get_running_loop().run_in_executor(None, function, *arguments)


async def read(client):
    """Return the tokens that are dead."""
    return [token async for token, _ in client.feedback()]


async def test_a_reader_that_is_cancelled_loses_nothing(apple):
    """What the store has given away in the meantime goes back to it."""
    store = GatedStore()
    async with new_client(apple, store) as client:
        await client.send(TOKENS[0], PAYLOAD)
        reading = asyncio.ensure_future(read(client))
        await in_thread(store.is_there.wait, 60)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        store.gate.set()
        found = []
        while not found:
            found = await read(client)

    assert found == TOKENS[:1]


async def test_what_comes_at_the_end_of_storing_is_stored_after_it(apple):
    """It does not wait for the next dead token, which may never come."""
    store, gate = MemoryStore(), threading.Event()
    async with new_client(apple, store) as client:
        feedback = client._feedback
        save, feedback._buffer.save = feedback._buffer.save, gate.wait
        for token in TOKENS[:2]:
            await client.send(token, PAYLOAD)
        feedback._buffer.save = save
        gate.set()
        while feedback._saving is not None:
            await asyncio.sleep(0.001)
        stored = [row for source in store.sources() for row in store.drain(source)]

    assert sorted(token.decode() for token, _ in stored) == sorted(TOKENS[:2])


async def test_a_reader_that_leaves_takes_only_what_it_was_given(apple):
    """The others are there for the next one; also at the end of the client."""
    store = MemoryStore()
    async with new_client(apple, store) as client:
        for token in TOKENS:
            await client.send(token, PAYLOAD)
        generator = client.feedback()
        taken = [(await generator.__anext__())[0]]
        await generator.aclose()
    async with new_client(apple, store) as client:
        rest = await read(client)

    assert sorted(taken + rest) == sorted(TOKENS)


async def test_a_store_that_fails_fails_no_notification(apple, caplog):
    """It is in the log; the tokens are kept."""
    class Failing(MemoryStore):
        is_broken = True

        def add(self, source, rows):
            if self.is_broken:
                raise OSError("no space left")
            super().add(source, rows)

    store = Failing()
    async with new_client(apple, store) as client:
        outcome = await client.send(TOKENS[0], PAYLOAD)
        while "no space left" not in caplog.text:
            await asyncio.sleep(0.001)
        store.is_broken = False
        found = await read(client)

    assert outcome.reason == "Unregistered" and found == TOKENS[:1]


async def test_feedback_is_read_in_the_loop_of_the_client_only(apple):
    """Elsewhere nothing is taken from the store."""
    async with new_client(apple, MemoryStore()) as client:
        await client.send(TOKENS[0], PAYLOAD)
        with pytest.raises(RuntimeError, match="belongs to another event loop"):
            await in_thread(lambda: asyncio.run(read(client)))
        assert await read(client) == TOKENS[:1]


async def test_a_dead_token_is_known_when_its_caller_goes_on(apple):
    """So that a program can read the feedback right behind the notification."""
    async with new_client(apple, MemoryStore()) as client:
        seen = []
        client.pool.hub.on_gone = seen.extend
        outcome = await client.send(TOKENS[0], PAYLOAD)
        assert outcome.is_gone and [row[0] for row in seen] == [TOKENS[0].encode("ascii")]
